-- Stand-in: vectors kept as their text, "[1,2,3]". No index, no checks, not fast.
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION vector_out(vector) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varchartypmodin';
CREATE FUNCTION vector_typmod_out(integer) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varchartypmodout';
CREATE TYPE vector (
    INPUT = vector_in, OUTPUT = vector_out, TYPMOD_IN = vector_typmod_in, TYPMOD_OUT = vector_typmod_out,
    INTERNALLENGTH = variable, STORAGE = extended
);

CREATE FUNCTION vector_to_float8(vector) RETURNS double precision[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.translate($1::text, '[]', '{}')::double precision[];
CREATE CAST (vector AS double precision[]) WITH FUNCTION vector_to_float8(vector) AS ASSIGNMENT;

CREATE FUNCTION vector_dims(vector) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.cardinality(@extschema@.vector_to_float8($1));
CREATE FUNCTION l2_distance(vector, vector) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.sqrt(pg_catalog.sum((a - b) * (a - b)))
    FROM ROWS FROM (pg_catalog.unnest(@extschema@.vector_to_float8($1)), pg_catalog.unnest(@extschema@.vector_to_float8($2))) AS p (a, b)
$$;
CREATE OPERATOR <-> (FUNCTION = l2_distance, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = '<->');

CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteaeq';
CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'bytealt';
CREATE FUNCTION vector_le(vector, vector) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteale';
CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteagt';
CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteage';
CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteacmp';
CREATE OPERATOR = (FUNCTION = vector_eq, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = =, MERGES);
CREATE OPERATOR < (FUNCTION = vector_lt, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = >, NEGATOR = >=);
CREATE OPERATOR <= (FUNCTION = vector_le, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = >=, NEGATOR = >);
CREATE OPERATOR > (FUNCTION = vector_gt, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = <, NEGATOR = <=);
CREATE OPERATOR >= (FUNCTION = vector_ge, LEFTARG = vector, RIGHTARG = vector, COMMUTATOR = <=, NEGATOR = <);
CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 vector_cmp(vector, vector);
