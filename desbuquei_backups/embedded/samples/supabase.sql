-- A database in the shape of a Supabase project, as its own role "postgres" meets it: not a superuser, schemas that
-- the platform manages and owns, some tables it may not read, row-level security everywhere, extensions that no
-- ordinary server has (stand-ins for them lie in extensions/). Run by supabase_admin in the database "postgres".
--
-- The session sets samples.rows first: the number of contacts (12000 is a dump of about 10 MB).
-- The password of "postgres" is set by the loader. No clock and no randomness.

BEGIN;

SET LOCAL client_encoding = 'UTF8';
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = '';
SET LOCAL TimeZone = 'UTC';

-------------------------------------------------------------------------------------------------------------------
-- Roles and their settings. statement_timeout ends a dump or a count after two minutes unless it is lifted.
-------------------------------------------------------------------------------------------------------------------

CREATE ROLE postgres LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
CREATE ROLE anon NOLOGIN;
CREATE ROLE authenticated NOLOGIN;
CREATE ROLE service_role NOLOGIN BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT;
CREATE ROLE supabase_auth_admin LOGIN NOINHERIT CREATEROLE;
CREATE ROLE supabase_storage_admin LOGIN NOINHERIT CREATEROLE;
CREATE ROLE supabase_functions_admin LOGIN NOINHERIT CREATEROLE;
CREATE ROLE supabase_realtime_admin NOLOGIN NOINHERIT;
CREATE ROLE supabase_replication_admin LOGIN REPLICATION;
CREATE ROLE supabase_read_only_user LOGIN BYPASSRLS;
CREATE ROLE dashboard_user NOLOGIN CREATEDB CREATEROLE REPLICATION;
CREATE ROLE pgbouncer LOGIN;
GRANT anon, authenticated, service_role TO authenticator;
GRANT anon, authenticated, service_role, authenticator, pg_monitor, pg_signal_backend TO postgres WITH ADMIN OPTION;
GRANT supabase_realtime_admin TO postgres WITH INHERIT FALSE;
GRANT pg_read_all_data TO supabase_read_only_user;
ALTER ROLE supabase_admin SET search_path = "$user", public, auth, extensions;
ALTER ROLE postgres SET search_path = "$user", public, extensions;
ALTER ROLE postgres SET statement_timeout = '2min';
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';
ALTER ROLE authenticator SET statement_timeout = '8s';
ALTER ROLE authenticator SET lock_timeout = '8s';
ALTER ROLE supabase_auth_admin SET search_path = auth;
ALTER ROLE supabase_auth_admin SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE supabase_storage_admin SET search_path = storage;

ALTER DATABASE postgres OWNER TO postgres;
ALTER DATABASE postgres SET "app.settings.jwt_exp" = '3600';
GRANT ALL ON DATABASE postgres TO dashboard_user;
GRANT CREATE ON DATABASE postgres TO supabase_auth_admin, supabase_storage_admin;

-------------------------------------------------------------------------------------------------------------------
-- Schemas, extensions, default privileges.
-------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA extensions AUTHORIZATION postgres;
CREATE SCHEMA auth;
CREATE SCHEMA storage;
CREATE SCHEMA realtime;
CREATE SCHEMA graphql;
CREATE SCHEMA graphql_public;
CREATE SCHEMA vault;
CREATE SCHEMA supabase_functions;
CREATE SCHEMA pgbouncer AUTHORIZATION pgbouncer;
CREATE SCHEMA supabase_migrations AUTHORIZATION postgres;
ALTER SCHEMA public OWNER TO pg_database_owner;
GRANT USAGE ON SCHEMA public, auth, storage, realtime, graphql_public, extensions, supabase_functions
    TO postgres, anon, authenticated, service_role;
GRANT USAGE ON SCHEMA vault, graphql TO postgres, service_role;
GRANT ALL ON SCHEMA auth TO supabase_auth_admin, dashboard_user;
GRANT ALL ON SCHEMA storage TO supabase_storage_admin, dashboard_user;
GRANT ALL ON SCHEMA realtime TO supabase_realtime_admin;
GRANT ALL ON SCHEMA supabase_functions TO supabase_functions_admin;

-- On Supabase these and more; pgcrypto and pg_stat_statements are the only ones an ordinary server has too.
CREATE EXTENSION pgcrypto SCHEMA extensions;
CREATE EXTENSION pg_stat_statements SCHEMA extensions;
CREATE EXTENSION "uuid-ossp" SCHEMA extensions;
CREATE EXTENSION vector SCHEMA extensions;
CREATE EXTENSION postgis SCHEMA extensions;
CREATE EXTENSION pg_graphql SCHEMA graphql;
CREATE EXTENSION supabase_vault SCHEMA vault;

ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON SEQUENCES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public GRANT ALL ON SEQUENCES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin IN SCHEMA auth GRANT ALL ON TABLES TO postgres, dashboard_user;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin IN SCHEMA auth GRANT ALL ON SEQUENCES TO postgres, dashboard_user;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin IN SCHEMA auth GRANT ALL ON FUNCTIONS TO postgres, dashboard_user;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA realtime GRANT ALL ON TABLES TO postgres, dashboard_user;

-------------------------------------------------------------------------------------------------------------------
-- auth: the accounts. A backup of public alone restores profiles whose users no longer exist.
-------------------------------------------------------------------------------------------------------------------

SET LOCAL ROLE supabase_auth_admin;
CREATE TYPE auth.aal_level AS ENUM ('aal1', 'aal2', 'aal3');
CREATE TYPE auth.factor_status AS ENUM ('unverified', 'verified');
CREATE TABLE auth.users (
    instance_id uuid,
    id uuid NOT NULL PRIMARY KEY,
    aud character varying(255),
    role character varying(255),
    email character varying(255),
    encrypted_password character varying(255),
    email_confirmed_at timestamp with time zone,
    last_sign_in_at timestamp with time zone,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin boolean,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    phone text DEFAULT NULL::character varying,
    phone_confirmed_at timestamp with time zone,
    confirmed_at timestamp with time zone GENERATED ALWAYS AS (LEAST(email_confirmed_at, phone_confirmed_at)) STORED,
    email_change_confirm_status smallint DEFAULT 0,
    banned_until timestamp with time zone,
    is_sso_user boolean DEFAULT false NOT NULL,
    deleted_at timestamp with time zone,
    is_anonymous boolean DEFAULT false NOT NULL,
    CONSTRAINT users_phone_key UNIQUE (phone),
    CONSTRAINT users_email_change_confirm_status_check CHECK (email_change_confirm_status >= 0 AND email_change_confirm_status <= 2)
);
COMMENT ON TABLE auth.users IS 'Auth: Stores user login data within a secure schema.';
CREATE UNIQUE INDEX users_email_partial_key ON auth.users (email) WHERE is_sso_user = false;
CREATE TABLE auth.identities (
    provider_id text NOT NULL,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    identity_data jsonb NOT NULL,
    provider text NOT NULL,
    created_at timestamp with time zone,
    email text GENERATED ALWAYS AS (lower(identity_data ->> 'email')) STORED,
    id uuid DEFAULT gen_random_uuid() NOT NULL PRIMARY KEY,
    UNIQUE (provider_id, provider)
);
CREATE TABLE auth.sessions (
    id uuid NOT NULL PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    created_at timestamp with time zone, aal auth.aal_level, not_after timestamp with time zone, user_agent text, ip inet
);
CREATE TABLE auth.refresh_tokens (
    instance_id uuid, id bigserial PRIMARY KEY, token character varying(255) UNIQUE, user_id character varying(255), revoked boolean,
    created_at timestamp with time zone, parent character varying(255),
    session_id uuid REFERENCES auth.sessions (id) ON DELETE CASCADE
);
CREATE TABLE auth.mfa_factors (
    id uuid NOT NULL PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE, status auth.factor_status NOT NULL,
    secret text
);
CREATE TABLE auth.audit_log_entries (
    instance_id uuid, id uuid NOT NULL PRIMARY KEY, payload json, created_at timestamp with time zone, ip_address character varying(64) DEFAULT '' NOT NULL
);
CREATE TABLE auth.schema_migrations (version character varying(255) NOT NULL PRIMARY KEY);
COMMENT ON TABLE auth.schema_migrations IS 'Auth: Manages updates to the auth system.';
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.mfa_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.audit_log_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.schema_migrations ENABLE ROW LEVEL SECURITY;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON auth.schema_migrations FROM postgres;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$
  select coalesce(nullif(current_setting('request.jwt.claim', true), ''), nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;
INSERT INTO auth.schema_migrations VALUES ('00'), ('20171026211738'), ('20210710035447'), ('20221208132122'), ('20240802193726');
INSERT INTO auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at)
SELECT '00000000-0000-0000-0000-000000000000', md5('usuario' || i)::uuid, 'authenticated', 'authenticated', format('usuario%s@example.com', i),
       '$2a$10$' || md5('p' || i) || left(md5('q' || i), 21), timestamptz '2025-01-01 00:00Z' + i * interval '3 hours',
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('nome', 'Usuário ' || i), timestamptz '2025-01-01 00:00Z' + i * interval '2 hours'
FROM generate_series(1, greatest(current_setting('samples.rows')::integer / 20, 20)) AS i;
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider, created_at, id)
SELECT id::text, id, jsonb_build_object('sub', id, 'email', upper(email)), 'email', created_at, md5('i' || id)::uuid FROM auth.users ORDER BY users.id;
INSERT INTO auth.sessions SELECT md5('s' || id)::uuid, id, created_at, 'aal1', NULL, 'Navegador/1', '10.0.0.1' FROM auth.users ORDER BY users.id;
INSERT INTO auth.refresh_tokens (token, user_id, revoked, created_at, session_id)
SELECT left(md5('t' || id), 22), user_id, false, created_at, id FROM auth.sessions ORDER BY sessions.id;
INSERT INTO auth.audit_log_entries SELECT NULL, md5('a' || id)::uuid, json_build_object('action', 'login', 'actor_id', id), created_at FROM auth.users ORDER BY users.id;
RESET ROLE;

-------------------------------------------------------------------------------------------------------------------
-- storage: the files' rows (the files themselves are not in the database). postgres may not read the vector tables:
-- one table it cannot lock fails a whole pg_dump.
-------------------------------------------------------------------------------------------------------------------

SET LOCAL ROLE supabase_storage_admin;
CREATE TYPE storage.buckettype AS ENUM ('STANDARD', 'ANALYTICS', 'VECTOR');
CREATE TABLE storage.buckets (
    id text NOT NULL PRIMARY KEY, name text NOT NULL, owner uuid, created_at timestamp with time zone DEFAULT now(), public boolean DEFAULT false,
    file_size_limit bigint, allowed_mime_types text[], owner_id text, type storage.buckettype DEFAULT 'STANDARD'::storage.buckettype NOT NULL
);
COMMENT ON COLUMN storage.buckets.owner IS 'Field is deprecated, use owner_id instead';
CREATE TABLE storage.objects (
    id uuid DEFAULT gen_random_uuid() NOT NULL PRIMARY KEY, bucket_id text REFERENCES storage.buckets (id), name text,
    created_at timestamp with time zone DEFAULT now(), metadata jsonb,
    path_tokens text[] GENERATED ALWAYS AS (string_to_array(name, '/'::text)) STORED, version text, owner_id text
);
CREATE UNIQUE INDEX bucketid_objname ON storage.objects (bucket_id, name);
CREATE TABLE storage.migrations (id integer PRIMARY KEY, name character varying(100) UNIQUE NOT NULL, hash character varying(40) NOT NULL);
CREATE TABLE storage.buckets_vectors (id text NOT NULL PRIMARY KEY, type storage.buckettype DEFAULT 'VECTOR'::storage.buckettype NOT NULL,
                                      created_at timestamp with time zone DEFAULT now() NOT NULL);
CREATE TABLE storage.vector_indexes (id text NOT NULL PRIMARY KEY, bucket_id text NOT NULL REFERENCES storage.buckets_vectors (id), dimension integer NOT NULL);
ALTER TABLE storage.buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.migrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.buckets_vectors ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.vector_indexes ENABLE ROW LEVEL SECURITY;
GRANT ALL ON storage.buckets, storage.objects TO postgres WITH GRANT OPTION;
GRANT ALL ON storage.buckets, storage.objects TO anon, authenticated, service_role;
GRANT SELECT ON storage.migrations TO postgres;
CREATE FUNCTION storage.foldername(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (string_to_array(name, '/'))[1 : cardinality(string_to_array(name, '/')) - 1];
END
$$;
INSERT INTO storage.migrations VALUES (0, 'create-migrations-table', md5('0')), (1, 'initialmigration', md5('1')), (2, 'storage-schema', md5('2'));
INSERT INTO storage.buckets (id, name, created_at, public) VALUES ('fotos', 'fotos', '2025-01-01 00:00Z', true), ('contratos', 'contratos', '2025-01-02 00:00Z', false);
INSERT INTO storage.objects (id, bucket_id, name, created_at, metadata, version, owner_id)
SELECT md5('f' || i)::uuid, (ARRAY['fotos', 'contratos'])[1 + i % 2], format('%s/arquivo %s ção.png', md5('usuario' || i), i),
       timestamptz '2025-02-01 00:00Z' + i * interval '5 minutes', jsonb_build_object('size', i * 37, 'mimetype', 'image/png', 'eTag', md5('g' || i)),
       md5('v' || i), md5('usuario' || i)::uuid::text
FROM generate_series(1, current_setting('samples.rows')::integer / 10) AS i;
INSERT INTO storage.buckets_vectors VALUES ('vetores', DEFAULT, '2025-03-01 00:00Z');
INSERT INTO storage.vector_indexes VALUES ('indice', 'vetores', 3);
RESET ROLE;

-------------------------------------------------------------------------------------------------------------------
-- realtime, functions, vault, graphql, pooler. supabase_functions.hooks and its sequence are not for postgres to read.
-------------------------------------------------------------------------------------------------------------------

CREATE TYPE realtime.action AS ENUM ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'ERROR');
CREATE TYPE realtime.user_defined_filter AS (column_name text, op text, value text);
CREATE FUNCTION realtime.to_regrole(role_name text) RETURNS regrole LANGUAGE sql IMMUTABLE AS 'select role_name::regrole';
CREATE TABLE realtime.schema_migrations (version bigint NOT NULL PRIMARY KEY, inserted_at timestamp(0) without time zone);
CREATE TABLE realtime.subscription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subscription_id uuid NOT NULL, entity regclass NOT NULL,
    filters realtime.user_defined_filter[] DEFAULT '{}'::realtime.user_defined_filter[] NOT NULL, claims jsonb NOT NULL,
    claims_role regrole GENERATED ALWAYS AS (realtime.to_regrole(claims ->> 'role')) STORED NOT NULL
);
CREATE TABLE realtime.messages (
    topic text NOT NULL, extension text NOT NULL, payload jsonb, event text, private boolean DEFAULT false,
    updated_at timestamp without time zone DEFAULT now() NOT NULL, inserted_at timestamp without time zone DEFAULT now() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL, PRIMARY KEY (id, inserted_at)
) PARTITION BY RANGE (inserted_at);
ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    dia date;
BEGIN
    FOR dia IN SELECT date '2026-02-01' + i FROM generate_series(0, 4) AS i LOOP
        EXECUTE format('CREATE TABLE realtime.%I PARTITION OF realtime.messages FOR VALUES FROM (%L) TO (%L)',
                       'messages_' || to_char(dia, 'YYYY_MM_DD'), dia, dia + 1);
    END LOOP;
END
$$;
INSERT INTO realtime.schema_migrations VALUES (20211116024918, '2025-01-01 00:00:00'), (20240618124746, '2025-01-01 00:00:01');
INSERT INTO realtime.messages (topic, extension, payload, event, updated_at, inserted_at, id)
SELECT 'sala:' || i % 5, 'broadcast', jsonb_build_object('n', i), 'novo', timestamp '2026-02-01' + i * interval '3 minutes',
       timestamp '2026-02-01' + i * interval '3 minutes', md5('m' || i)::uuid
FROM generate_series(1, 1000) AS i;
ALTER TABLE realtime.messages OWNER TO supabase_realtime_admin;
GRANT SELECT, INSERT, UPDATE ON realtime.messages TO postgres, anon, authenticated, service_role;
GRANT SELECT ON realtime.subscription, realtime.schema_migrations TO postgres, anon, authenticated, service_role;
GRANT USAGE, SELECT ON SEQUENCE realtime.subscription_id_seq TO postgres, anon, authenticated, service_role;

SET LOCAL ROLE supabase_functions_admin;
CREATE TABLE supabase_functions.migrations (version text PRIMARY KEY, inserted_at timestamp with time zone NOT NULL DEFAULT now());
CREATE TABLE supabase_functions.hooks (
    id bigserial PRIMARY KEY, hook_table_id integer NOT NULL, hook_name text NOT NULL, created_at timestamp with time zone NOT NULL DEFAULT now(), request_id bigint
);
COMMENT ON TABLE supabase_functions.hooks IS 'Supabase Functions Hooks: Audit trail for triggered hooks.';
GRANT SELECT ON supabase_functions.migrations TO postgres;
INSERT INTO supabase_functions.migrations VALUES ('initial', '2025-01-01 00:00Z'), ('20210809183423_update_grants', '2025-01-01 00:00Z');
INSERT INTO supabase_functions.hooks (hook_table_id, hook_name, created_at) SELECT 16384, 'gancho ' || i, '2025-01-01 00:00Z' FROM generate_series(1, 5) AS i;
RESET ROLE;

GRANT SELECT, INSERT, UPDATE, DELETE ON vault.secrets TO postgres WITH GRANT OPTION;
GRANT SELECT ON vault.decrypted_secrets TO postgres WITH GRANT OPTION;
INSERT INTO vault.secrets (id, name, description, secret, nonce, created_at, updated_at)
SELECT md5('segredo' || i)::uuid, 'segredo ' || i, 'gerado', encode(sha256(convert_to('c' || i, 'UTF8')), 'base64'), decode(md5('n' || i), 'hex'),
       '2025-01-01 00:00Z', '2025-01-01 00:00Z'
FROM generate_series(1, 3) AS i;
INSERT INTO extensions.spatial_ref_sys VALUES (990001, 'DESBUQUEI', 'LOCAL_CS["Galpão"]'), (990002, 'DESBUQUEI', 'LOCAL_CS["Pátio"]');
GRANT SELECT, INSERT, REFERENCES ON extensions.spatial_ref_sys TO postgres;

CREATE FUNCTION graphql_public.graphql("operationName" text DEFAULT NULL, query text DEFAULT NULL, variables jsonb DEFAULT NULL, extensions jsonb DEFAULT NULL)
    RETURNS jsonb LANGUAGE sql AS $$
  select graphql.resolve(query := query, variables := coalesce(variables, '{}'), "operationName" := "operationName", extensions := extensions);
$$;
GRANT EXECUTE ON FUNCTION graphql_public.graphql(text, text, jsonb, jsonb) TO postgres, anon, authenticated, service_role;
CREATE FUNCTION pgbouncer.get_auth(p_usename text) RETURNS TABLE (username text, password text) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN QUERY SELECT rolname::text, NULL::text FROM pg_catalog.pg_roles WHERE rolname = $1;
END
$$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;

-------------------------------------------------------------------------------------------------------------------
-- The project's own: public and another schema, made by postgres. Row-level security by auth.uid() on every table.
-------------------------------------------------------------------------------------------------------------------

SET LOCAL ROLE postgres;

CREATE TYPE public.situacao_contato AS ENUM ('bloqueado', 'desbloqueado', 'expirado');
CREATE TABLE public.perfis (
    id uuid NOT NULL PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE, nome text, creditos integer DEFAULT 10 NOT NULL CHECK (creditos >= 0),
    criado_em timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.contatos (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, dono uuid NOT NULL REFERENCES public.perfis, empresa text NOT NULL,
    dados jsonb NOT NULL, situacao public.situacao_contato DEFAULT 'bloqueado'::public.situacao_contato NOT NULL, notas text,
    criado_em timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.mensagens (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY, contato_id bigint NOT NULL REFERENCES public.contatos ON DELETE CASCADE,
    autor uuid DEFAULT auth.uid() REFERENCES auth.users, texto text NOT NULL, resumo bytea
);
INSERT INTO public.perfis SELECT id, raw_user_meta_data ->> 'nome', 10, created_at FROM auth.users ORDER BY users.id;
INSERT INTO public.contatos (dono, empresa, dados, situacao, notas, criado_em)
SELECT md5('usuario' || 1 + i % (SELECT count(*) FROM auth.users))::uuid, 'Empresa ' || lpad(i::text, 6, '0'),
       jsonb_build_object('telefone', '+55 11 9' || lpad((i * 7919 % 100000000)::text, 8, '0'), 'correio', format('contato%s@example.com', i),
                          'etiquetas', jsonb_build_array('lote ' || i % 20, 'São Paulo')),
       (enum_range(NULL::public.situacao_contato))[1 + i % 3], repeat(md5('n' || i) || E'\n', 1 + i % 12), timestamptz '2025-01-01 00:00Z' + i * interval '13 minutes'
FROM generate_series(1, current_setting('samples.rows')::integer) AS i;
INSERT INTO public.mensagens
SELECT md5('mensagem' || id)::uuid, id, dono, 'Olá, ' || empresa || E'\t\\ ' || repeat(md5('x' || id), 4), extensions.digest('z' || id, 'sha256') FROM public.contatos ORDER BY contatos.id;
CREATE INDEX contatos_dono ON public.contatos (dono, criado_em DESC);

-- What leans on extensions that another server may lack. Where they lack, exactly these cannot be restored.
CREATE TABLE public.documentos (
    id uuid DEFAULT extensions.uuid_generate_v4() NOT NULL PRIMARY KEY, titulo text NOT NULL, embedding extensions.vector(3), vizinhos extensions.vector[]
);
CREATE TABLE public.chaves_api (
    id uuid DEFAULT extensions.uuid_generate_v4() NOT NULL PRIMARY KEY, dono uuid NOT NULL REFERENCES public.perfis, resumo text
);
CREATE TABLE public.locais (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nome text, srid integer REFERENCES extensions.spatial_ref_sys (srid));
INSERT INTO public.documentos
SELECT md5('doc' || i)::uuid, 'Documento ' || i, format('[%s,%s,%s]', i % 7, i % 11 / 2.0, i)::extensions.vector,
       CASE WHEN i % 9 = 0 THEN ARRAY['[1,2,3]', NULL]::extensions.vector[] END
FROM generate_series(1, 300) AS i;
INSERT INTO public.chaves_api SELECT md5('chave' || id)::uuid, id, md5('r' || id) FROM public.perfis ORDER BY perfis.id LIMIT 50;
INSERT INTO public.locais (nome, srid) VALUES ('Galpão', 990001), ('Loja', 4326), ('Sem lugar', NULL);
CREATE INDEX documentos_embedding ON public.documentos (embedding);
-- and what leans on those tables
CREATE TABLE public.comentarios (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, documento_id uuid NOT NULL REFERENCES public.documentos ON DELETE CASCADE, texto text
);
INSERT INTO public.comentarios (documento_id, texto) SELECT id, 'Comentário sobre ' || titulo FROM public.documentos ORDER BY documentos.id;
CREATE VIEW public.documentos_proximos WITH (security_invoker = true) AS
    SELECT id, titulo, embedding OPERATOR(extensions.<->) '[0,0,0]'::extensions.vector AS distancia FROM public.documentos;
CREATE VIEW public.titulos AS SELECT titulo FROM public.documentos_proximos;
CREATE MATERIALIZED VIEW public.chaves_por_dono AS SELECT dono, count(*) AS chaves FROM public.chaves_api GROUP BY dono;
CREATE FUNCTION public.busca_documentos(consulta extensions.vector, limite integer DEFAULT 5) RETURNS SETOF public.documentos
    LANGUAGE sql STABLE AS $$
  select * from public.documentos order by embedding operator(extensions.<->) consulta limit limite;
$$;
CREATE FUNCTION public.total_de_chaves() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM public.chaves_api; END;
-- names an extension only inside its body: no dependency is recorded, and it is created wherever bodies are not checked
CREATE FUNCTION public.nova_chave(dono uuid) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    nova uuid := extensions.uuid_generate_v4();
BEGIN
    INSERT INTO public.chaves_api (id, dono, resumo)
    VALUES (nova, nova_chave.dono, encode(extensions.digest(nova::text, 'sha256'), 'hex'));
    RETURN nova;
END
$$;

CREATE SCHEMA faturamento;
GRANT USAGE ON SCHEMA faturamento TO authenticated, service_role;
CREATE TABLE faturamento.faturas (
    numero integer GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY, perfil uuid NOT NULL REFERENCES public.perfis, valor numeric(10, 2) NOT NULL,
    periodo daterange NOT NULL
);
INSERT INTO faturamento.faturas (perfil, valor, periodo)
SELECT id, 49.90, daterange('2026-01-01', '2026-02-01') FROM public.perfis ORDER BY perfis.id LIMIT 100;
CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('20250101000000', ARRAY['create table public.perfis ()', 'select '';'''], 'inicio');

ALTER TABLE public.perfis ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.contatos ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.mensagens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.documentos ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.chaves_api ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.locais ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.comentarios ENABLE ROW LEVEL SECURITY;
ALTER TABLE faturamento.faturas ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Cada um vê o próprio perfil" ON public.perfis FOR SELECT TO authenticated USING ((SELECT auth.uid()) = id);
CREATE POLICY "Cada um muda o próprio perfil" ON public.perfis FOR UPDATE TO authenticated USING (auth.uid() = id) WITH CHECK (auth.uid() = id);
CREATE POLICY contatos_do_dono ON public.contatos TO authenticated USING (dono = auth.uid());
CREATE POLICY mensagens_do_autor ON public.mensagens USING (autor = auth.uid() OR auth.role() = 'service_role');
CREATE POLICY todos_leem ON public.documentos FOR SELECT USING (true);
CREATE POLICY todos_leem ON public.locais FOR SELECT TO anon USING (true);
CREATE POLICY chaves_do_dono ON public.chaves_api USING (dono = auth.uid());
CREATE POLICY comenta_quem_entrou ON public.comentarios FOR INSERT TO authenticated WITH CHECK (auth.uid() IS NOT NULL);
CREATE POLICY faturas_do_perfil ON faturamento.faturas FOR SELECT USING (perfil = auth.uid());

CREATE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
begin
  insert into public.perfis (id, nome) values (new.id, new.raw_user_meta_data ->> 'nome');
  return new;
end
$$;
CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.handle_new_user();

CREATE PUBLICATION supabase_realtime FOR TABLE public.mensagens, public.contatos;
SELECT pg_catalog.lo_from_bytea(800001, '\x646573627571756569');
RESET ROLE;

-- the project's policies on a managed table
CREATE POLICY "Fotos são públicas" ON storage.objects FOR SELECT USING (bucket_id = 'fotos'::text);
CREATE POLICY "Cada um na sua pasta" ON storage.objects FOR INSERT TO authenticated
    WITH CHECK (bucket_id = 'contratos'::text AND (auth.uid())::text = (storage.foldername(name))[1]);
CREATE PUBLICATION supabase_realtime_messages_publication FOR TABLE realtime.messages;

-------------------------------------------------------------------------------------------------------------------
-- Event triggers of the platform: owned by supabase_admin, and only a superuser can restore them.
-------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY pgrst, 'reload schema';
END
$$;
CREATE FUNCTION extensions.grant_pg_graphql_access() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() WHERE object_type = 'extension' AND object_identity = 'pg_graphql') THEN
        GRANT USAGE ON SCHEMA graphql TO postgres, anon, authenticated, service_role;
    END IF;
END
$$;
COMMENT ON FUNCTION extensions.grant_pg_graphql_access() IS 'Grants access to pg_graphql';
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER pgrst_drop_watch ON sql_drop EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER issue_pg_graphql_access ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION extensions.grant_pg_graphql_access();

COMMIT;

ANALYZE;
