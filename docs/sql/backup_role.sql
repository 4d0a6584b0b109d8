-- The role that backs up a database, with all that desbuquei needs and no more. A superuser runs it, in that database:
--
--     psql --dbname app --file docs/sql/backup_role.sql            # --set role=NAME: another name than backup
--     psql --dbname app --command '\password backup'
--
-- Run it again when there are new large objects, and in each further database of the server that is backed up.
--
-- Into pg_hba.conf, above what is more general, then SELECT pg_reload_conf(); the address is the backup host's:
--
--     hostssl  app          backup  192.0.2.10/32  scram-sha-256
--     hostssl  replication  backup  192.0.2.10/32  scram-sha-256
--
-- And what its replication slot may hold back, so that it never fills the server's disk, like
--     ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';
-- On PostgreSQL 17 or newer, for increments:
--     ALTER SYSTEM SET summarize_wal = on;

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role backup
\endif

BEGIN;
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;

SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
-- REPLICATION: base backups, the slot, and WAL through it. BYPASSRLS: no policy hides rows from a dump.
ALTER ROLE :"role" LOGIN REPLICATION BYPASSRLS;
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec

-- Every table and sequence in every schema, and pg_authid: password hashes are backed up, too, as a base backup does.
GRANT pg_read_all_data TO :"role";
-- Which libraries are loaded and where the configuration lies; how large the other databases are.
GRANT pg_read_all_settings, pg_read_all_stats TO :"role";
-- Recovery points, and the end of a segment.
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO :"role";
-- Large objects are in none of the predefined roles.
SELECT format('GRANT SELECT ON LARGE OBJECT %s TO %I', oid, :'role') FROM pg_largeobject_metadata \gexec

-- With --set configuration=yes: where postgresql.conf and pg_hba.conf lie outside the data directory, as Debian has
-- them, no base backup holds them. To keep them beside it the role must be able to read whatever the server can read.
\if :{?configuration}
    GRANT pg_read_server_files TO :"role";
    GRANT EXECUTE ON FUNCTION pg_read_file(text) TO :"role";
\endif

-- Two tables of its own, so that it need not be able to make any: the commit behind each recovery point, and what people query.
CREATE TABLE IF NOT EXISTS public.recovery_heartbeats (name text PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS public.backup_logs (
    backup_id text PRIMARY KEY,
    backup_type text NOT NULL,
    backup_timestamp timestamptz NOT NULL,
    backup_size_bytes bigint NOT NULL,
    status text NOT NULL,
    recovery_tested boolean NOT NULL,
    database_name text NOT NULL,
    checksum_md5 text,
    checksum_sha256 text,
    s3_uri text,
    storage_class text,
    duration_seconds double precision,
    error text,
    copy_of text,
    same_as text,
    operator text,
    reason text
);
ALTER TABLE public.recovery_heartbeats ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.backup_logs ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.recovery_heartbeats, public.backup_logs FROM PUBLIC;
ALTER TABLE public.recovery_heartbeats OWNER TO :"role";
ALTER TABLE public.backup_logs OWNER TO :"role";

COMMIT;
