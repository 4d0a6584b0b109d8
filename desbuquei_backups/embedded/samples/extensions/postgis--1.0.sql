-- Stand-in: the reference systems only. A dump holds the rows that the extension did not bring.
CREATE TABLE @extschema@.spatial_ref_sys (srid integer PRIMARY KEY CHECK (srid > 0 AND srid <= 998999), auth_name text, srtext text);
INSERT INTO @extschema@.spatial_ref_sys VALUES (4326, 'EPSG', 'GEOGCS["WGS 84"]'), (4674, 'EPSG', 'GEOGCS["SIRGAS 2000"]');
GRANT SELECT ON @extschema@.spatial_ref_sys TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.spatial_ref_sys', 'WHERE NOT (srid IN (4326, 4674))');
