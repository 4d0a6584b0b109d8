-- Stand-in: answers every query with nothing.
CREATE FUNCTION graphql.resolve(query text, variables jsonb DEFAULT '{}'::jsonb, "operationName" text DEFAULT NULL, extensions jsonb DEFAULT NULL)
    RETURNS jsonb LANGUAGE sql STABLE RETURN pg_catalog.jsonb_build_object('data', NULL);
