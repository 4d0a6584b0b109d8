-- The sample database "desbuquei": a small Brazilian shop and lead marketplace, with every kind of object that a
-- database may hold and a plain dump can carry. Each section says what would be lost if it were mishandled.
--
-- The session that runs this file sets two parameters first:
--   samples.rows        number of orders; everything else grows with it (100000 is a dump of about 85 MB)
--   samples.tablespace  'on' if the tablespace desbuquei_frio exists and is to be used
-- No clock and no randomness: the same parameters give the same bytes.

BEGIN;

SET LOCAL client_encoding = 'UTF8';
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = public;
SET LOCAL TimeZone = 'America/Sao_Paulo';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL lc_monetary = 'C';
SET LOCAL xmloption = content;
SET LOCAL maintenance_work_mem = '128MB';
SET LOCAL synchronous_commit = off;

-------------------------------------------------------------------------------------------------------------------
-- Roles. They belong to the server, not to the database: a dump without its globals loses every owner and grant
-- below. Another database of this server may have made them already.
-------------------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    papel text;
BEGIN
    FOREACH papel IN ARRAY ARRAY['desbuquei_app', 'desbuquei_leitura', 'desbuquei_suporte', 'Operação Noturna'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = papel) THEN
            EXECUTE format('CREATE ROLE %I', papel);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE desbuquei_app LOGIN CREATEROLE CONNECTION LIMIT 40;
ALTER ROLE desbuquei_leitura LOGIN VALID UNTIL '2099-12-31 23:59:59+00';
ALTER ROLE desbuquei_suporte BYPASSRLS NOINHERIT;
GRANT desbuquei_leitura TO desbuquei_app WITH ADMIN OPTION;
GRANT desbuquei_leitura TO "Operação Noturna" WITH INHERIT FALSE, SET TRUE;
GRANT pg_read_all_stats TO desbuquei_suporte;
ALTER ROLE desbuquei_leitura SET statement_timeout = '30s';
ALTER ROLE desbuquei_leitura SET default_transaction_read_only = on;
ALTER ROLE "Operação Noturna" SET search_path = vendas, public, "Relatórios; 2026";
GRANT SET ON PARAMETER log_min_duration_statement TO desbuquei_suporte;
COMMENT ON ROLE "Operação Noturna" IS E'Papel das rotinas da madrugada;\nnão é uma pessoa (it''s "nobody")';

-------------------------------------------------------------------------------------------------------------------
-- Schemas. Names with quotes, semicolons, newlines, dollars, backslashes, percents and emoji: a tool that quotes
-- by hand loses these, or runs them.
-------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA vendas AUTHORIZATION desbuquei_app;
CREATE SCHEMA extensoes;
CREATE SCHEMA arquivo;
CREATE SCHEMA "Relatórios; 2026";
CREATE SCHEMA "esquema ""estranho"" d'água %s $$ \ 🗄";
CREATE SCHEMA vazio;

-------------------------------------------------------------------------------------------------------------------
-- Extensions, in public and elsewhere. Lost with them: every type, index and function that uses one.
-------------------------------------------------------------------------------------------------------------------

CREATE EXTENSION hstore SCHEMA extensoes;
CREATE EXTENSION ltree SCHEMA extensoes;
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION btree_gist;
CREATE EXTENSION pgcrypto SCHEMA extensoes;
CREATE EXTENSION unaccent;
CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
COMMENT ON EXTENSION citext IS 'e-mails não distinguem maiúsculas';

-------------------------------------------------------------------------------------------------------------------
-- Collations, text search, conversions, access methods: named by columns and indexes, seldom remembered.
-------------------------------------------------------------------------------------------------------------------

CREATE COLLATION public.por_byte (provider = libc, locale = 'C');
CREATE COLLATION public.por_codigo (provider = builtin, locale = 'C.UTF-8');
COMMENT ON COLLATION public.por_byte IS 'ordem dos bytes';

CREATE TEXT SEARCH DICTIONARY public.sem_acento (TEMPLATE = public.unaccent, RULES = 'unaccent');
CREATE TEXT SEARCH DICTIONARY public.palavras (TEMPLATE = pg_catalog.simple, STOPWORDS = 'portuguese', ACCEPT = true);
CREATE TEXT SEARCH CONFIGURATION public.busca (COPY = pg_catalog.portuguese);
ALTER TEXT SEARCH CONFIGURATION public.busca
    ALTER MAPPING FOR hword, hword_part, word WITH public.sem_acento, pg_catalog.portuguese_stem;
COMMENT ON TEXT SEARCH CONFIGURATION public.busca IS 'português sem acentos';

CREATE CONVERSION public.latim FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD guarda TYPE TABLE HANDLER heap_tableam_handler;

-------------------------------------------------------------------------------------------------------------------
-- Types. An enum's order is not its labels' order; a domain's checks run again on every restored row.
-------------------------------------------------------------------------------------------------------------------

CREATE TYPE public.situacao_pedido AS ENUM ('aberto', 'pago', 'enviado', 'cancelado');
ALTER TYPE public.situacao_pedido ADD VALUE 'em análise' BEFORE 'pago';
ALTER TYPE public.situacao_pedido ADD VALUE 'd''água; "x"' AFTER 'enviado';
CREATE TYPE public.plano AS ENUM ('grátis', 'básico', 'pró', 'empresa', 'parceiro', 'interno');
CREATE TYPE public.enum_vazio AS ENUM ();

CREATE DOMAIN public.documento AS text
    CONSTRAINT so_digitos CHECK (VALUE ~ '^[0-9]{11}$|^[0-9]{14}$');
CREATE DOMAIN public.email AS citext CHECK (VALUE LIKE '%@%');
CREATE DOMAIN public.percentual AS numeric(5, 2) DEFAULT 0 NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN public.percentual_alto AS public.percentual;
ALTER DOMAIN public.percentual_alto ADD CONSTRAINT alto CHECK (VALUE >= 50) NOT VALID;
CREATE DOMAIN public.lista_curta AS integer[] CHECK (cardinality(VALUE) <= 4);
COMMENT ON CONSTRAINT so_digitos ON DOMAIN public.documento IS 'CPF ou CNPJ, só os algarismos';

CREATE TYPE public.dinheiro AS (valor numeric(14, 2), moeda character(3));
CREATE TYPE public.endereco AS (rua text, "número" text, cep character(8), pago public.dinheiro);
CREATE DOMAIN public.dinheiro_real AS public.dinheiro CHECK ((VALUE).moeda = 'BRL');
COMMENT ON COLUMN public.dinheiro.moeda IS 'ISO 4217';

CREATE TYPE public.faixa_preco AS RANGE (subtype = numeric, multirange_type_name = public.faixas_preco);
CREATE TYPE public.faixa_texto AS RANGE (subtype = text, collation = public.por_byte);

-- A shell type that stays a shell, and a base type with its own input and output.
CREATE TYPE public.rascunho;
CREATE TYPE public.selo;
CREATE FUNCTION public.selo_in(cstring) RETURNS public.selo LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION public.selo_out(public.selo) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE public.selo (INPUT = public.selo_in, OUTPUT = public.selo_out, INTERNALLENGTH = variable, STORAGE = extended);

-------------------------------------------------------------------------------------------------------------------
-- Functions, procedures, aggregates, operators, casts, operator classes. Bodies look like a dump on purpose: a tool
-- that reads a dump by lines takes the middle of a function for the start of a table's rows.
-------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION public.normaliza(texto text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(btrim(texto));

CREATE FUNCTION public.total_com_taxa(valor numeric, taxa numeric DEFAULT 10, OUT total numeric, OUT imposto numeric)
    LANGUAGE plpgsql IMMUTABLE COST 7 SET search_path = pg_catalog AS $corpo$
BEGIN
    imposto := round(valor * taxa / 100, 2);
    total := valor + imposto;
END
$corpo$;

CREATE FUNCTION public.finge_ser_dump() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO 'vendas', 'pg_temp' AS $fn$
DECLARE
    texto text := '
COPY t FROM stdin;
1	dois	\N
\.

SELECT pg_catalog.setval(''public.x'', 1, true);

--
-- PostgreSQL database dump complete
--
\connect outra
\restrict abc
';
BEGIN
    RETURN texto;
END
$fn$;

CREATE PROCEDURE vendas.fecha_dia(dia date, INOUT fechados integer DEFAULT 0)
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vendas.pedidos SET situacao = 'pago' WHERE criado_em::date = dia AND situacao = 'aberto';
    GET DIAGNOSTICS fechados = ROW_COUNT;
END
$$;

CREATE FUNCTION public.varios(VARIADIC nomes text[]) RETURNS SETOF text
    LANGUAGE sql STABLE ROWS 5 AS 'SELECT unnest(nomes)';
CREATE FUNCTION public.qualquer(anyelement, anyarray) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = ANY ($2)';
CREATE FUNCTION public.numera() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number';

CREATE FUNCTION public.soma_dinheiro(a public.dinheiro, b public.dinheiro) RETURNS public.dinheiro
    LANGUAGE sql IMMUTABLE AS $$SELECT ROW(coalesce((a).valor, 0) + coalesce((b).valor, 0), 'BRL')::public.dinheiro$$;
CREATE AGGREGATE public.soma(public.dinheiro) (
    SFUNC = public.soma_dinheiro, STYPE = public.dinheiro, INITCOND = '(0,BRL)', PARALLEL = safe
);
CREATE AGGREGATE public.percentil_próprio(double precision ORDER BY double precision) (
    SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA
);
CREATE OPERATOR public.+ (
    FUNCTION = public.soma_dinheiro, LEFTARG = public.dinheiro, RIGHTARG = public.dinheiro, COMMUTATOR = OPERATOR(public.+)
);
COMMENT ON OPERATOR public.+ (public.dinheiro, public.dinheiro) IS 'soma';
COMMENT ON AGGREGATE public.soma(public.dinheiro) IS 'soma de dinheiro';

CREATE FUNCTION public.dinheiro_texto(public.dinheiro) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$SELECT ($1).moeda || ' ' || ($1).valor$$;
CREATE CAST (public.dinheiro AS text) WITH FUNCTION public.dinheiro_texto(public.dinheiro) AS ASSIGNMENT;
CREATE CAST (public.selo AS text) WITHOUT FUNCTION;
COMMENT ON CAST (public.dinheiro AS text) IS 'BRL 1.00';

CREATE FUNCTION public.compara_ao_contrario(integer, integer) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT pg_catalog.btint4cmp($2, $1)';
CREATE OPERATOR FAMILY public.ao_contrario USING btree;
CREATE OPERATOR CLASS public.ao_contrario_ops FOR TYPE integer USING btree FAMILY public.ao_contrario AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <,
    FUNCTION 1 public.compara_ao_contrario(integer, integer);
COMMENT ON OPERATOR CLASS public.ao_contrario_ops USING btree IS 'do maior para o menor';

-------------------------------------------------------------------------------------------------------------------
-- Sequences: options, position and is_called. A dropped setval restarts the numbers, and the next INSERT collides.
-------------------------------------------------------------------------------------------------------------------

CREATE SEQUENCE public.nota_fiscal START 1000 INCREMENT 7 MINVALUE 1000 MAXVALUE 9000000 CACHE 50 CYCLE;
CREATE SEQUENCE public.contagem_regressiva AS smallint START -1 INCREMENT -1 MINVALUE -32768 MAXVALUE -1;
CREATE SEQUENCE public.nunca_usada START 42;
CREATE SEQUENCE public.no_fim AS integer MAXVALUE 10;
CREATE SEQUENCE public."sequência; ""x"" 😀" START 5;
CREATE UNLOGGED SEQUENCE public.senha_do_balcao;
SELECT setval('public.nota_fiscal', 8999993, true), setval('public.contagem_regressiva', -17, true),
       setval('public.nunca_usada', 77, false), setval('public.no_fim', 10, true), setval('public.senha_do_balcao', 3);

-------------------------------------------------------------------------------------------------------------------
-- Customers: identity, generated columns, domains, composites, text search.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.clientes (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 1 MINVALUE 10),
    codigo uuid NOT NULL,
    nome text NOT NULL COLLATE public.por_codigo,
    correio public.email,
    documento public.documento,
    endereco public.endereco,
    "aceita promoção?" boolean DEFAULT false,
    coluna_que_sai text,
    saldo public.dinheiro_real,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    atributos extensoes.hstore,
    preferencias jsonb DEFAULT '{}'::jsonb,
    criado_em timestamp with time zone NOT NULL,
    nome_normal text GENERATED ALWAYS AS (public.normaliza(nome)) STORED,
    busca tsvector GENERATED ALWAYS AS (to_tsvector('public.busca'::regconfig, nome)) STORED
);
INSERT INTO public.clientes (codigo, nome, correio, documento, endereco, "aceita promoção?", saldo, tags, atributos,
                             preferencias, criado_em)
SELECT md5('cliente' || i)::uuid,
       format('Cliente %s %s', lpad(i::text, 6, '0'), (ARRAY['Padaria', 'Salão', 'Oficina', 'Farmácia'])[1 + i % 4]),
       format('cliente%s@example.com', i),
       lpad(i::text, 11, '0'),
       ROW('Rua ' || i % 900, (i % 5000)::text, lpad((i % 99999999)::text, 8, '0'),
           ROW(i % 100, 'BRL')::public.dinheiro)::public.endereco,
       i % 3 = 0,
       ROW((i * 37 % 100000) / 100.0, 'BRL')::public.dinheiro_real,
       ARRAY['lote-' || i % 17, NULL, 'São Paulo'],
       extensoes.hstore(ARRAY['origem', 'vazio'], ARRAY['anúncio ' || i % 9, NULL]),
       jsonb_build_object('tema', (ARRAY['claro', 'escuro'])[1 + i % 2], 'limite', i * 1.10, 'nada', NULL),
       timestamptz '2023-01-01 00:00:00-03' + i * interval '71 minutes'
FROM generate_series(1, greatest(current_setting('samples.rows')::integer / 5, 20)) AS i;
ALTER TABLE public.clientes DROP COLUMN coluna_que_sai;
ALTER TABLE public.clientes ADD COLUMN indicado_por bigint;
UPDATE public.clientes SET indicado_por = id - 1 WHERE id % 50 = 0;
ALTER TABLE public.clientes
    ADD CONSTRAINT clientes_pkey PRIMARY KEY (id),
    ADD CONSTRAINT clientes_codigo_key UNIQUE (codigo) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT indicado_por_fkey FOREIGN KEY (indicado_por) REFERENCES public.clientes ON DELETE SET NULL (indicado_por);
CREATE INDEX clientes_nome_trgm ON public.clientes USING gin (nome public.gin_trgm_ops);
CREATE INDEX clientes_busca ON public.clientes USING gin (busca) WITH (fastupdate = off);
CREATE INDEX clientes_expressao ON public.clientes (lower(nome) COLLATE "C" DESC NULLS LAST, (preferencias ->> 'tema'))
    INCLUDE (correio) WHERE "aceita promoção?";
CREATE INDEX clientes_criado ON public.clientes USING brin (criado_em) WITH (pages_per_range = 8);
CREATE UNIQUE INDEX clientes_correio ON public.clientes (correio) NULLS NOT DISTINCT;
ALTER INDEX public.clientes_expressao ALTER COLUMN 1 SET STATISTICS 300;
ALTER TABLE public.clientes CLUSTER ON clientes_pkey;
ALTER TABLE public.clientes ALTER COLUMN nome SET STATISTICS 500;
ALTER TABLE public.clientes ALTER COLUMN preferencias SET STORAGE EXTERNAL, ALTER COLUMN tags SET COMPRESSION pglz;
ALTER TABLE public.clientes SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_enabled = false);
ALTER TABLE public.clientes ALTER COLUMN id SET (n_distinct = -1);

-------------------------------------------------------------------------------------------------------------------
-- Orders: range, then range by two columns, a default, a partition that was attached with its columns in another order.
-- Reading partitions besides their root counts each row twice; loading rows by column position mixes columns up.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE vendas.pedidos (
    id bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 3),
    cliente_id bigint NOT NULL,
    criado_em timestamp with time zone NOT NULL,
    situacao public.situacao_pedido DEFAULT 'aberto'::public.situacao_pedido NOT NULL,
    canal text,
    total numeric(12, 2) NOT NULL,
    pago public.dinheiro,
    observacao text,
    total_centavos bigint GENERATED ALWAYS AS ((total * (100)::numeric)::bigint) STORED,
    CONSTRAINT total_positivo CHECK (total >= (0)::numeric)
) PARTITION BY RANGE (criado_em);
CREATE TABLE vendas.pedidos_ate_2024 PARTITION OF vendas.pedidos
    FOR VALUES FROM (MINVALUE) TO ('2025-01-01 00:00:00-03') WITH (fillfactor = 100);
CREATE TABLE vendas.pedidos_2025 PARTITION OF vendas.pedidos
    FOR VALUES FROM ('2025-01-01 00:00:00-03') TO ('2026-01-01 00:00:00-03') PARTITION BY RANGE (criado_em, id);
CREATE TABLE vendas.pedidos_2025_1 PARTITION OF vendas.pedidos_2025
    FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2025-07-01 00:00:00-03', MINVALUE);
CREATE TABLE arquivo."pedidos 2025, 2º semestre" PARTITION OF vendas.pedidos_2025
    FOR VALUES FROM ('2025-07-01 00:00:00-03', MINVALUE) TO (MAXVALUE, MAXVALUE);
CREATE TABLE vendas.pedidos_2026 (
    total numeric(12, 2) NOT NULL,
    removida integer,
    observacao text DEFAULT 'anexada'::text,
    pago public.dinheiro,
    canal text,
    situacao public.situacao_pedido DEFAULT 'pago'::public.situacao_pedido NOT NULL,
    total_centavos bigint GENERATED ALWAYS AS ((total * (100)::numeric)::bigint) STORED,
    id bigint NOT NULL,
    criado_em timestamp with time zone NOT NULL,
    cliente_id bigint NOT NULL,
    CONSTRAINT total_positivo CHECK (total >= (0)::numeric)
);
ALTER TABLE vendas.pedidos_2026 DROP COLUMN removida;
ALTER TABLE vendas.pedidos ATTACH PARTITION vendas.pedidos_2026
    FOR VALUES FROM ('2026-01-01 00:00:00-03') TO ('2027-01-01 00:00:00-03');
CREATE TABLE vendas.pedidos_resto PARTITION OF vendas.pedidos DEFAULT;

INSERT INTO vendas.pedidos (cliente_id, criado_em, situacao, canal, total, pago, observacao)
SELECT 10 + (hashtext('c' || i)::bigint + 2147483648) % (SELECT count(*) FROM public.clientes),
       timestamptz '2024-03-01 00:00:00-03' + i * (interval '1150 days' / current_setting('samples.rows')::integer),
       (enum_range(NULL::public.situacao_pedido))[1 + i % 6],
       (ARRAY['site', 'app', 'balcão', NULL, 'telefone', 'feira; "x"'])[1 + i / 3 % 6],
       (i * 7919 % 1000000) / 100.0,
       CASE WHEN i % 4 = 0 THEN ROW((i * 7919 % 1000000) / 100.0, 'BRL')::public.dinheiro END,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Observação ' || md5('o' || i) || E'\tentregar\\depois' END
FROM generate_series(1, current_setting('samples.rows')::integer) AS i;
ALTER TABLE vendas.pedidos ADD CONSTRAINT pedidos_pkey PRIMARY KEY (id, criado_em);
ALTER TABLE vendas.pedidos ADD CONSTRAINT pedidos_cliente FOREIGN KEY (cliente_id) REFERENCES public.clientes (id)
    ON UPDATE CASCADE ON DELETE RESTRICT;
CREATE INDEX pedidos_cliente_idx ON vendas.pedidos (cliente_id, criado_em DESC);
CREATE INDEX so_da_particao ON vendas.pedidos_2026 (canal) WHERE situacao = 'aberto'::public.situacao_pedido;
CREATE INDEX sem_particoes ON ONLY vendas.pedidos (situacao); -- stays invalid: no partition has it
ALTER TABLE vendas.pedidos_2025_1 ADD CONSTRAINT so_deste_semestre CHECK (total < 1000000);
ALTER TABLE vendas.pedidos_resto REPLICA IDENTITY FULL;

CREATE TABLE vendas.itens_pedido (
    pedido_id bigint NOT NULL,
    pedido_em timestamp with time zone NOT NULL,
    linha smallint NOT NULL,
    produto text NOT NULL,
    quantidade integer DEFAULT 1 NOT NULL,
    preco numeric(10, 2) NOT NULL
);
INSERT INTO vendas.itens_pedido
SELECT p.id, p.criado_em, l, 'Produto ' || (p.id * 31 + l) % 5000, 1 + p.id % 5, (p.id * l * 13 % 50000) / 100.0
FROM vendas.pedidos p, generate_series(1, 2) AS l
ORDER BY p.id, l;
ALTER TABLE vendas.itens_pedido
    ADD PRIMARY KEY (pedido_id, pedido_em, linha),
    ADD CONSTRAINT itens_do_pedido FOREIGN KEY (pedido_id, pedido_em) REFERENCES vendas.pedidos (id, criado_em)
        MATCH FULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

-- Hash partitions on an enum: the hash is of the label's OID, so every server places the rows elsewhere.
CREATE TABLE public.desbloqueios (
    id bigserial,
    plano public.plano NOT NULL,
    cliente_id bigint NOT NULL,
    contato extensoes.ltree NOT NULL,
    desbloqueado_em timestamp without time zone NOT NULL,
    creditos integer NOT NULL,
    chave bytea,
    PRIMARY KEY (id, plano)
) PARTITION BY HASH (plano);
CREATE TABLE public.desbloqueios_0 PARTITION OF public.desbloqueios FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE public.desbloqueios_1 PARTITION OF public.desbloqueios FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE public.desbloqueios_2 PARTITION OF public.desbloqueios FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE public.desbloqueios_3 PARTITION OF public.desbloqueios FOR VALUES WITH (MODULUS 4, REMAINDER 3);
INSERT INTO public.desbloqueios (plano, cliente_id, contato, desbloqueado_em, creditos, chave)
SELECT (enum_range(NULL::public.plano))[1 + i % 6],
       10 + (hashtext('d' || i)::bigint + 2147483648) % (SELECT count(*) FROM public.clientes),
       ('brasil.uf' || i % 27 || '.cidade' || i % 500)::extensoes.ltree,
       timestamp '2024-03-01 08:00:00' + i * interval '41 seconds',
       i % 40,
       CASE WHEN i % 2 = 0 THEN decode(md5('k' || i), 'hex') END
FROM generate_series(1, current_setting('samples.rows')::integer) AS i;
ALTER TABLE public.desbloqueios ADD FOREIGN KEY (cliente_id) REFERENCES public.clientes (id);
CREATE INDEX desbloqueios_contato ON public.desbloqueios USING gist (contato);

-- Hash by text with a collation and unequal moduli, below a list by expression with a NULL.
CREATE TABLE public.sessoes (chave text NOT NULL COLLATE public.por_byte, uf text, dados jsonb)
    PARTITION BY LIST (upper(uf));
CREATE TABLE public.sessoes_sp PARTITION OF public.sessoes FOR VALUES IN ('SP') PARTITION BY HASH (chave);
CREATE TABLE public.sessoes_sp_0 PARTITION OF public.sessoes_sp FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.sessoes_sp_1 PARTITION OF public.sessoes_sp FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE public.sessoes_sp_3 PARTITION OF public.sessoes_sp FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE TABLE public.sessoes_sem_uf PARTITION OF public.sessoes FOR VALUES IN ('RJ', NULL);
CREATE TABLE public.sessoes_demais PARTITION OF public.sessoes DEFAULT;
CREATE TABLE public.particionada_sem_particoes (a integer, b text) PARTITION BY RANGE (a, b);
INSERT INTO public.sessoes
SELECT md5('s' || i), (ARRAY['SP', 'sp', 'RJ', 'mg', NULL])[1 + i % 5], jsonb_build_object('i', i)
FROM generate_series(1, 500) AS i;

-- The event log: the bulk of the rows.
CREATE TABLE public.eventos (
    id bigint PRIMARY KEY,
    ocorrido_em timestamp with time zone NOT NULL,
    endereco_ip inet,
    dados jsonb NOT NULL
);
INSERT INTO public.eventos
SELECT i, timestamptz '2024-03-01 00:00:00-03' + i * interval '1.25 seconds', ('10.' || i % 256 || '.0.' || i % 254)::inet,
       jsonb_build_object('tipo', 'pagina_vista', 'sessao', md5('s' || i / 9), 'ordem', i % 9,
                          'url', 'https://www.example.com/contatos/' || i % 5000 || '?q=são+paulo',
                          'agente', 'Navegador/' || i % 30 || ' (sistema ' || i % 7 || ')',
                          'medidas', jsonb_build_array(i % 100 / 3.0, i % 17, NULL, true), 'texto', repeat(md5('e' || i), 2))
FROM generate_series(1, current_setting('samples.rows')::integer) AS i;
CREATE INDEX eventos_dados ON public.eventos USING gin ((dados -> 'tipo') jsonb_path_ops) WHERE id % 10 = 0;
CREATE INDEX eventos_ip ON public.eventos USING hash (endereco_ip);
CREATE STATISTICS public.eventos_estatistica (ndistinct, dependencies, mcv) ON ocorrido_em, endereco_ip FROM public.eventos;
CREATE STATISTICS "estatística; de expressão" ON (id % 7), (dados ->> 'tipo') FROM public.eventos;
ALTER STATISTICS public.eventos_estatistica SET STATISTICS 50;
COMMENT ON STATISTICS public.eventos_estatistica IS 'correlação';

-------------------------------------------------------------------------------------------------------------------
-- Inheritance: the parent has rows of its own. Reading the parent without ONLY counts the children's rows twice.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.produtos (
    id serial PRIMARY KEY, nome text NOT NULL, preco numeric DEFAULT 1, CONSTRAINT preco_ok CHECK (preco >= 0),
    CONSTRAINT so_na_mae CHECK (id < 1000000) NO INHERIT
);
CREATE TABLE public.produtos_digitais (url text, preco numeric DEFAULT 9.90) INHERITS (public.produtos);
CREATE TABLE public.etiquetado (etiqueta text DEFAULT 'n/d');
CREATE TABLE public.produtos_fisicos (peso real) INHERITS (public.produtos, public.etiquetado);
CREATE TABLE public.produtos_frageis () INHERITS (public.produtos_fisicos);
INSERT INTO public.produtos (nome, preco) SELECT 'Serviço ' || i, i FROM generate_series(1, 40) AS i;
INSERT INTO public.produtos_digitais (nome, url) SELECT 'Curso ' || i, 'https://example.com/' || i FROM generate_series(1, 30) AS i;
INSERT INTO public.produtos_fisicos (nome, peso) SELECT 'Caixa ' || i, i / 3.0 FROM generate_series(1, 20) AS i;
INSERT INTO public.produtos_frageis (nome, peso, etiqueta) SELECT 'Copo ' || i, 0.2, 'frágil' FROM generate_series(1, 10) AS i;
INSERT INTO public.etiquetado VALUES ('avulsa'), (NULL);
ALTER TABLE public.produtos_frageis ALTER COLUMN etiqueta SET DEFAULT 'CUIDADO';

-------------------------------------------------------------------------------------------------------------------
-- Foreign keys in a circle, to the same table, deferred; constraints that the rows do not satisfy (NOT VALID).
-- Keys restored before rows refuse them; a restore that validates NOT VALID constraints fails.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.lojas (id integer PRIMARY KEY, nome text NOT NULL, gerente_id integer);
CREATE TABLE public.funcionarios (
    id integer PRIMARY KEY, loja_id integer NOT NULL, chefe_id integer REFERENCES public.funcionarios, matricula integer,
    CONSTRAINT funcionarios_loja FOREIGN KEY (loja_id) REFERENCES public.lojas DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT matricula_unica UNIQUE NULLS NOT DISTINCT (loja_id, matricula)
);
ALTER TABLE public.lojas ADD CONSTRAINT lojas_gerente FOREIGN KEY (gerente_id) REFERENCES public.funcionarios
    DEFERRABLE INITIALLY IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO public.lojas SELECT i, 'Loja ' || i, i * 10 FROM generate_series(1, 30) AS i;
INSERT INTO public.funcionarios SELECT i, 1 + (i - 1) / 10, nullif(i / 2, 0), nullif(i % 10, 0) FROM generate_series(1, 300) AS i;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE public.funcionarios
    ADD CONSTRAINT matricula_baixa CHECK (matricula < 5) NOT VALID,
    ADD CONSTRAINT loja_que_nao_ha FOREIGN KEY (matricula) REFERENCES public.clientes NOT VALID;
CREATE INDEX funcionarios_ao_contrario ON public.funcionarios (matricula public.ao_contrario_ops, chefe_id);
CREATE UNIQUE INDEX funcionarios_identidade ON public.funcionarios (id, loja_id);
ALTER TABLE public.funcionarios REPLICA IDENTITY USING INDEX funcionarios_identidade;

CREATE TABLE public.reservas (
    sala integer, periodo tstzrange, cancelada boolean DEFAULT false NOT NULL,
    CONSTRAINT sem_sobreposicao EXCLUDE USING gist (sala WITH =, periodo WITH &&) WHERE (NOT cancelada)
        DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO public.reservas
SELECT i % 7, tstzrange(timestamptz '2026-01-01 00:00Z' + i * interval '1 hour', timestamptz '2026-01-01 00:00Z' + (i + 2) * interval '1 hour'),
       i % 11 = 0
FROM generate_series(1, 700) AS i;
SET CONSTRAINTS ALL IMMEDIATE;

-------------------------------------------------------------------------------------------------------------------
-- Every type, at its limits. A text form that depends on a session's settings loses digits, zones or rows here.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.tempos (
    n integer, tz timestamp with time zone, ts timestamp, d date, h time, hz time with time zone, i interval,
    ts0 timestamp(0), i_mes interval year to month
);
INSERT INTO public.tempos VALUES
    (1, '4714-11-24 00:00:00+00 BC', '4714-11-24 00:00:00 BC', '4714-11-24 BC', '00:00', '00:00+15:59:59', '-178000000 years', '4714-11-24 BC', '-1 mon'),
    (2, '294276-12-31 23:59:59.999999+00', '294276-12-31 23:59:59.999999', '5874897-12-31', '24:00', '24:00-15:59:59', '178000000 years', '294276-12-31', '178 years'),
    (3, 'infinity', 'infinity', 'infinity', '23:59:59.999999', '12:00-03', 'infinity', 'infinity', '0'),
    (4, '-infinity', '-infinity', '-infinity', NULL, NULL, '-infinity', NULL, NULL),
    (5, '4713-01-01 00:00:00+00 BC', '0001-12-31 BC', '0001-01-01', '02:30', '02:30+00', '1 mon -1 day +00:00:00.000001', '1969-12-31 23:59:59', '13 mons'),
    (6, '1914-01-01 00:00:00-03:06:28', '2000-02-29', '2000-02-29', '00:00:00.000001', '00:00-02', '-1 year +2 mons -3 days +04:05:06', '2000-01-01', '1 mon'),
    (7, '2018-11-04 00:00:00-02', '2018-11-04 00:30:00', '2018-11-04', '00:30', '00:30-03', '00:00:00', '2018-11-04', '0'); -- a midnight that São Paulo skipped

CREATE TABLE public.numeros (
    n integer, num numeric, fixo numeric(20, 5), escala numeric(3, -2), f8 double precision, f4 real, i2 smallint, i8 bigint, m money, b boolean
);
INSERT INTO public.numeros VALUES
    (1, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', -32768, -9223372036854775808, '-92233720368547758.08', true),
    (2, 'Infinity', 0.00001, 12300, 'Infinity', 'Infinity', 32767, 9223372036854775807, '92233720368547758.07', false),
    (3, '-Infinity', -0.00001, -99900, '-Infinity', '-Infinity', 0, 0, '0', NULL),
    (4, '1e131071', 999999999999999.99999, 0, '-0', '-0', NULL, NULL, '1234.56', NULL),
    (5, ('0.' || repeat('0', 16382) || '1')::numeric, 1, 100, 5e-324, 1e-45, NULL, NULL, NULL, NULL),
    (6, (repeat('9', 5000) || '.' || repeat('1', 5000))::numeric, 1.10, 200, 1.7976931348623157e308, 3.4028235e38, NULL, NULL, NULL, NULL),
    (7, 1.000, 1.000, 300, 0.1::double precision + 0.2::double precision, 0.1::real, NULL, NULL, NULL, NULL),
    (8, 0.00, -0.0, NULL, 2.2250738585072011e-308, 1.1754942e-38, NULL, NULL, NULL, NULL);

CREATE TABLE public.tipos (
    n integer, u uuid, by bytea, j json, jb jsonb, x xml, i inet, c cidr, mac macaddr, mac8 macaddr8, bt bit(5), vb bit varying,
    tv tsvector, tq tsquery, jp jsonpath, p point, l line, s lseg, bx box, pa path, pl polygon, ci circle, ch character(10),
    vc character varying(12), byte "char", nm name, o oid, rc regclass, rt regtype, lsn pg_lsn, snap pg_snapshot, x8 xid8,
    hs extensoes.hstore, lt extensoes.ltree, lq extensoes.lquery, ct citext, sl public.selo, e public.situacao_pedido
);
INSERT INTO public.tipos VALUES
    (1, '00000000-0000-0000-0000-000000000000', '\x', '{"a" :1,  "a": 2,
  "ordem":   "preservada" }', '{"b": 1e2, "a": [1.10, null, "\u00e7 \ud83d\ude00 \\ \""]}', '<?xml version="1.0"?><a b="c">é &amp; <![CDATA[<x>]]></a>',
     '192.168.0.1/24', '192.168.0.0/24', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'', 'gato:3A,7 ''d''''água'':1',
     '!gato & (cão | ''rato'':*A) <2> fim', '$.a[*] ? (@ > 1 && @.b like_regex "^x")', '(1.5,-0)', '{1,-1,0}', '[(0,0),(1,1)]', '(2,2),(0,0)',
     '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(1,2),3.3333333333333335>', 'abc', 'ç🐘', 'x', 'nome', 4294967295, 'vendas.pedidos',
     'public.dinheiro', 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', '18446744073709551615', '"a b"=>NULL, c=>"\"x\\"', 'a.b.c', '*.a|b*{1,3}.!c', 'MaIúScUlA',
     'selo \ x', 'd''água; "x"'),
    (2, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\x00ff5c0a0d09275c2e', 'null', 'null', 'texto <b>misto</b> solto', '::1', '2001:db8::/32', NULL, NULL,
     B'00000', B'1', '', '', 'strict $', '(NaN,Infinity)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL, '', '', '\x00', '', 0, NULL, 'integer[]',
     '0/0', NULL, '0', '', '', NULL, '', '', 'aberto'),
    (3, NULL, decode(repeat('00', 5000), 'hex'), ' [ ] ', '{}', '', '0.0.0.0/0', '0.0.0.0/0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, '   ', '   ', '\377', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tipos (n) VALUES (4);

CREATE TABLE public.colecoes (
    n integer, a integer[], aa text[], ad public.dinheiro[], ae public.endereco[], an numeric(6, 2)[], lc public.lista_curta, en public.situacao_pedido[],
    r4 int4range, rn numrange, rt tstzrange, rd daterange, rp public.faixa_preco, rx public.faixa_texto,
    m4 int4multirange, mp public.faixas_preco, end1 public.endereco, pc public.percentual, pa public.percentual_alto, linha public.lojas
);
INSERT INTO public.colecoes VALUES
    (1, '[-2:0]={1,NULL,3}', '{{"NULL",NULL},{"","a,\"b\\ {}"}}', ARRAY[ROW(1, 'BRL')::public.dinheiro, NULL, ROW(NULL, NULL)::public.dinheiro],
     ARRAY[ROW('Rua "A", (1)', NULL, '1', ROW(1, 'USD')::public.dinheiro)::public.endereco], '{1.10,NaN}', '{1,2}', '{aberto,"em análise","d''água; \"x\""}',
     'empty', '[,]', '(-infinity,infinity]', '[2026-01-01,2026-02-01)', '(1.10,2.20]', '["a b","c\"d")', '{[1,3),[5,9)}', '{}',
     ROW(E'linha 1\nlinha 2\t\\', '', NULL, NULL), 10, 55.5, ROW(1, 'x', NULL)),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '(,)', '[1.0,1.00]', 'empty', 'empty', 'empty', 'empty', '{(,)}', '{[1,2],(3,)}', NULL, 0, 100, NULL),
    (3, '[0:1][5:6]={{1,2},{3,4}}', '{"\\."}', NULL, NULL, NULL, NULL, NULL, '[-2147483648,2147483647)', NULL, '[2026-01-01 00:00-03,)', NULL, NULL, NULL,
     '{}', NULL, ROW(NULL, NULL, NULL, NULL), 1, 50, ROW(NULL, NULL, NULL));

-------------------------------------------------------------------------------------------------------------------
-- Rows that look like a dump. A reader that scans lines for "\." or "COPY" ends a table too early, or runs data.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.textos (id integer, corpo text);
INSERT INTO public.textos (id, corpo) VALUES
    (1, '\.'), (2, E'\\.\n'), (3, E'\n\\.\n'), (4, 'COPY x FROM stdin;'), (5, E'COPY x FROM stdin;\n1\t2\n\\.\n'),
    (6, 'SELECT pg_catalog.setval(''x'', 1, true);'), (7, E'--\n-- PostgreSQL database dump complete\n--\n'), (8, E'\t'), (9, E'\r'),
    (10, E'\r\n'), (11, E'\n'), (12, '\'), (13, '\\'), (14, '\N'), (15, NULL), (16, ''), (17, ' '), (18, E'\\x41 \\101 \\b \\v'), (19, E'\b\f\v\x01\x7f'),
    (20, '$$ $fn$ $_$ '' '' " ;'), (21, E'\\connect outra\n\\! true\n\\unrestrict x'), (22, 'emoji 😀 e combinação ç = ' || U&'c\0327'),
    (23, U&'\FEFFmarca de ordem' || U&'\202E' || 'direita'), (24, '%s %(nome)s {0} ${HOME} `x` %%'), (25, 'ﬁ ſ İ ı ß ẞ'), (26, U&'\+10FFFF \2028 \0085'),
    (27, E'DROP TABLE public.textos; --'), (28, 'NULL'), (29, 'null'), (30, E'\\restrict desbuquei');
-- one row of 3 MB that does not compress
INSERT INTO public.textos SELECT 100, string_agg(md5('g' || i), E'\n' ORDER BY i) FROM generate_series(1, 90000) AS i;

-------------------------------------------------------------------------------------------------------------------
-- Names. t::text is a column of t where one is called t; a table without columns still has rows to count.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.t (t text, x integer);
INSERT INTO public.t VALUES ('igual', 1), ('igual', 2), (NULL, 3);
CREATE TABLE public."row" ("row" integer, "select" integer, "count" integer, tableoid_ oid, oid integer, public integer);
INSERT INTO public."row" VALUES (1, 2, 3, 4, 5, 6);
CREATE TABLE public.sem_colunas ();
INSERT INTO public.sem_colunas DEFAULT VALUES;
INSERT INTO public.sem_colunas DEFAULT VALUES;
INSERT INTO public.sem_colunas DEFAULT VALUES;
CREATE TABLE public.so_gerada (a integer GENERATED ALWAYS AS (6 * 7) STORED);
INSERT INTO public.so_gerada DEFAULT VALUES;
INSERT INTO public.so_gerada DEFAULT VALUES;
CREATE TABLE public.duplicadas (a integer, b text);
INSERT INTO public.duplicadas SELECT 1 + i % 2, 'mesma linha' FROM generate_series(1, 5) AS i;
INSERT INTO public.duplicadas SELECT NULL, NULL FROM generate_series(1, 3);
CREATE TABLE public.vazia (id integer PRIMARY KEY, nome text DEFAULT 'x'::text);
CREATE UNLOGGED TABLE public.cesta_temporaria (id integer PRIMARY KEY, itens jsonb);
INSERT INTO public.cesta_temporaria SELECT i, jsonb_build_array(i, i * 2) FROM generate_series(1, 100) AS i;
CREATE TABLE public."Preços & ""Ofertas""; DROP TABLE x; --" ("Preço (R$)" numeric, "com espaço" text, "ponto.virgula;" text, "😀" boolean, "%s" integer, "a\b" text, "$1" text);
INSERT INTO public."Preços & ""Ofertas""; DROP TABLE x; --" VALUES (1.10, 'a', 'b', true, 7, '\', '$1'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE public."duas
linhas \echo 'injetado' $$" (id integer, "coluna
\. em duas" text);
INSERT INTO public."duas
linhas \echo 'injetado' $$" VALUES (1, 'x');
CREATE TABLE public."MAIÚSCULAS" (id integer PRIMARY KEY, "ID" integer);
CREATE TABLE public."maiúsculas" (id integer REFERENCES public."MAIÚSCULAS");
INSERT INTO public."MAIÚSCULAS" VALUES (1, 2);
INSERT INTO public."maiúsculas" VALUES (1), (NULL);
CREATE TABLE public.nome_de_tabela_com_exatamente_sessenta_e_tres_bytes_de_tamanho_ (id integer);
CREATE TABLE "esquema ""estranho"" d'água %s $$ \ 🗄"."tabela d'água" ("it's" text DEFAULT 'd''água'::text, id integer GENERATED ALWAYS AS IDENTITY);
INSERT INTO "esquema ""estranho"" d'água %s $$ \ 🗄"."tabela d'água" VALUES (DEFAULT), (NULL);
CREATE TABLE "Relatórios; 2026"."Resumo do mês" ("mês" date, total public.dinheiro);
INSERT INTO "Relatórios; 2026"."Resumo do mês" SELECT date '2026-01-01' + i * 31, ROW(i, 'BRL')::public.dinheiro FROM generate_series(0, 11) AS i;
CREATE TABLE public.pedido_tipado OF public.dinheiro (valor WITH OPTIONS NOT NULL DEFAULT 1, PRIMARY KEY (valor));
INSERT INTO public.pedido_tipado VALUES (2, 'BRL');
CREATE TABLE public.guardados (id integer, texto text COMPRESSION lz4) USING guarda;
INSERT INTO public.guardados SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 50) AS i;
CREATE TABLE public.larga ();
DO $$
BEGIN
    EXECUTE (SELECT 'ALTER TABLE public.larga ' || string_agg(format('ADD COLUMN c%s integer DEFAULT %s', i, i), ', ' ORDER BY i) FROM generate_series(1, 400) AS i);
END
$$;
INSERT INTO public.larga DEFAULT VALUES;

-------------------------------------------------------------------------------------------------------------------
-- Views. A stale materialized view is fresh after a restore and an unpopulated one must stay so; definitions and
-- populated state are what a dump carries, not the rows.
-------------------------------------------------------------------------------------------------------------------

CREATE VIEW public.clientes_promocao WITH (security_barrier = true) AS
    SELECT id, nome, correio FROM public.clientes WHERE "aceita promoção?" WITH CASCADED CHECK OPTION;
CREATE VIEW vendas.pedidos_abertos WITH (security_invoker = true) AS
    SELECT * FROM vendas.pedidos WHERE situacao = 'aberto'::public.situacao_pedido WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW public.hierarquia (id, nivel) AS
    SELECT id, 0 FROM public.funcionarios WHERE chefe_id IS NULL
    UNION ALL
    SELECT f.id, h.nivel + 1 FROM public.funcionarios f JOIN hierarquia h ON f.chefe_id = h.id;
-- leans on the primary key, so a dump has to split it in two
CREATE VIEW public.lojas_com_equipe AS
    SELECT l.id, l.nome, l.gerente_id, count(f.id) AS equipe FROM public.lojas l LEFT JOIN public.funcionarios f ON f.loja_id = l.id GROUP BY l.id;
CREATE FUNCTION public.maiores_lojas(public.lojas_com_equipe) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT ($1).equipe > 5';
CREATE VIEW public.lojas_grandes AS SELECT e.*, public.maiores_lojas(e) AS grande FROM public.lojas_com_equipe e;
CREATE VIEW "Relatórios; 2026"."visão; ""x"" 😀" AS SELECT "mês" AS "o mês", (total).valor AS "valor; R$" FROM "Relatórios; 2026"."Resumo do mês";
CREATE VIEW public.visao_sem_colunas AS SELECT;
ALTER VIEW public.clientes_promocao ALTER COLUMN nome SET DEFAULT 'Sem nome';

CREATE MATERIALIZED VIEW public.vendas_por_dia AS
    SELECT criado_em::date AS dia, count(*) AS pedidos, sum(total) AS total FROM vendas.pedidos GROUP BY 1;
CREATE UNIQUE INDEX vendas_por_dia_dia ON public.vendas_por_dia (dia);
CREATE MATERIALIZED VIEW public.vendas_por_mes AS SELECT date_trunc('month', dia::timestamp) AS mes, sum(total) AS total FROM public.vendas_por_dia GROUP BY 1;
CREATE MATERIALIZED VIEW public.contagem_velha AS SELECT count(*) AS n FROM public.duplicadas;
INSERT INTO public.duplicadas VALUES (9, 'depois da visão'); -- contagem_velha is stale from here on
CREATE MATERIALIZED VIEW public.nunca_preenchida AS SELECT id FROM public.clientes WITH NO DATA;
CREATE MATERIALIZED VIEW public.lojas_equipe_mat AS SELECT * FROM public.lojas_com_equipe;
COMMENT ON MATERIALIZED VIEW public.contagem_velha IS 'desatualizada de propósito';

CREATE RULE promocao_apaga AS ON DELETE TO public.clientes_promocao DO INSTEAD
    UPDATE public.clientes SET "aceita promoção?" = false WHERE id = OLD.id;
CREATE RULE vazia_avisa AS ON INSERT TO public.vazia DO ALSO NOTIFY vazia;
CREATE RULE "regra; desligada" AS ON UPDATE TO public.vazia WHERE NEW.id < 0 DO INSTEAD NOTHING;
ALTER TABLE public.vazia DISABLE RULE "regra; desligada";
COMMENT ON RULE vazia_avisa ON public.vazia IS 'avisa';

-------------------------------------------------------------------------------------------------------------------
-- Triggers, one disabled. They are made after the rows: a restore that fires them writes rows of its own.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.auditoria (id bigint GENERATED ALWAYS AS IDENTITY, tabela text, operacao text, quando text);
CREATE FUNCTION public.audita() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.auditoria (tabela, operacao, quando) VALUES (TG_TABLE_NAME, TG_OP, coalesce(TG_ARGV[0], 'sem argumento'));
    RETURN NULL;
END
$$;
CREATE FUNCTION public.arruma() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.nome := btrim(NEW.nome);
    RETURN NEW;
END
$$;
CREATE TRIGGER clientes_arruma BEFORE INSERT OR UPDATE OF nome ON public.clientes
    FOR EACH ROW WHEN (NEW.nome IS DISTINCT FROM '') EXECUTE FUNCTION public.arruma();
CREATE TRIGGER "auditoria; ""completa""" AFTER INSERT OR DELETE OR TRUNCATE ON public.clientes
    FOR EACH STATEMENT EXECUTE FUNCTION public.audita('it''s', 'a\b');
CREATE TRIGGER clientes_desligado AFTER UPDATE ON public.clientes FOR EACH ROW EXECUTE FUNCTION public.audita();
ALTER TABLE public.clientes DISABLE TRIGGER clientes_desligado;
CREATE TRIGGER pedidos_audita AFTER INSERT ON vendas.pedidos FOR EACH ROW EXECUTE FUNCTION public.audita();
ALTER TABLE vendas.pedidos_2026 DISABLE TRIGGER pedidos_audita;
CREATE TRIGGER lojas_transicao AFTER UPDATE ON public.lojas REFERENCING OLD TABLE AS antes NEW TABLE AS depois
    FOR EACH STATEMENT EXECUTE FUNCTION public.audita();
ALTER TABLE public.lojas ENABLE ALWAYS TRIGGER lojas_transicao;
CREATE CONSTRAINT TRIGGER lojas_depois AFTER INSERT ON public.lojas DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audita();
ALTER TABLE public.lojas ENABLE REPLICA TRIGGER lojas_depois;
CREATE TRIGGER visao_instead INSTEAD OF UPDATE ON public.lojas_com_equipe FOR EACH ROW EXECUTE FUNCTION public.audita();
COMMENT ON TRIGGER clientes_arruma ON public.clientes IS 'tira espaços';

-- An event trigger restricted to dropped tables. One on every command would record the restore itself: pg_dump makes
-- event triggers before it refreshes materialized views.
CREATE TABLE public.registro_ddl (id bigint GENERATED ALWAYS AS IDENTITY, objeto text);
CREATE FUNCTION public.registra_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.registro_ddl (objeto) SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary;
END
$$;
CREATE EVENT TRIGGER tabelas_apagadas ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION public.registra_ddl();
CREATE EVENT TRIGGER desligado ON ddl_command_start EXECUTE FUNCTION public.registra_ddl();
ALTER EVENT TRIGGER desligado DISABLE;
COMMENT ON EVENT TRIGGER tabelas_apagadas IS 'guarda o nome do que foi apagado';

-------------------------------------------------------------------------------------------------------------------
-- Row-level security. A dump by a role that the policies bind either fails or holds fewer rows.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.segredos (id integer PRIMARY KEY, dono text NOT NULL, conteudo text);
INSERT INTO public.segredos SELECT i, (ARRAY['desbuquei_app', 'desbuquei_leitura'])[1 + i % 2], md5('z' || i) FROM generate_series(1, 200) AS i;
ALTER TABLE public.segredos ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY so_o_dono ON public.segredos USING (dono = CURRENT_USER) WITH CHECK (dono = CURRENT_USER);
CREATE POLICY "política; ""restritiva""" ON public.segredos AS RESTRICTIVE FOR SELECT TO "Operação Noturna" USING (id > 10);
CREATE POLICY insere ON public.segredos FOR INSERT TO desbuquei_app WITH CHECK (id > 0);
COMMENT ON POLICY so_o_dono ON public.segredos IS 'cada um vê o seu';
ALTER TABLE public.reservas ENABLE ROW LEVEL SECURITY; -- no policy: nobody but its owner sees a row
ALTER TABLE public.vazia FORCE ROW LEVEL SECURITY; -- forced, not enabled

-------------------------------------------------------------------------------------------------------------------
-- Large objects: no table holds them, pg_read_all_data does not read them, and each has an owner, grants, a comment.
-------------------------------------------------------------------------------------------------------------------

SELECT lo_from_bytea(900001, convert_to('contrato: ' || repeat('cláusula; ', 500), 'UTF8'));
SELECT lo_from_bytea(900002, (SELECT string_agg(decode(md5('b' || i), 'hex'), ''::bytea ORDER BY i) FROM generate_series(1, 80000) AS i)); -- 1.25 MiB
SELECT lo_create(900003); -- empty
SELECT lo_create(900004); -- sparse: only its end is stored
SELECT lo_put(900004, 3000000, '\xdeadbeef');
SELECT lo_from_bytea(900005, decode(repeat('00ff5c2e0a', 820), 'hex'));
COMMENT ON LARGE OBJECT 900001 IS E'contrato "padrão";\né o do cliente';
ALTER LARGE OBJECT 900002 OWNER TO desbuquei_app;
GRANT SELECT ON LARGE OBJECT 900001 TO desbuquei_leitura WITH GRANT OPTION;
GRANT ALL ON LARGE OBJECT 900002 TO "Operação Noturna";
CREATE TABLE public.anexos (id integer PRIMARY KEY, conteudo oid NOT NULL);
INSERT INTO public.anexos VALUES (1, 900001), (2, 900002), (3, 900003), (4, 900004), (5, 900005);

-------------------------------------------------------------------------------------------------------------------
-- Foreign data: definitions only. Nothing may follow them to the other server, not even to count.
-------------------------------------------------------------------------------------------------------------------

CREATE SERVER matriz TYPE 'postgres' VERSION '17' FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host 'matriz.invalid', port '5432', dbname 'matriz', connect_timeout '2');
CREATE USER MAPPING FOR desbuquei_app SERVER matriz OPTIONS (user 'leitor', password 'exemplo');
CREATE USER MAPPING FOR PUBLIC SERVER matriz OPTIONS (user 'visitante');
CREATE FOREIGN TABLE public.estoque_matriz (sku text OPTIONS (column_name 'SKU') NOT NULL, saldo integer DEFAULT 0, CONSTRAINT saldo_ok CHECK (saldo >= 0))
    SERVER matriz OPTIONS (schema_name 'estoque', table_name 'saldos');
CREATE SERVER arquivos FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN DATA WRAPPER embrulho_sem_nada OPTIONS (depuracao 'sim');
COMMENT ON SERVER matriz IS 'não responde';
-- a partition that is foreign: reading the root reads the file too
CREATE TABLE vendas.metas (ano integer NOT NULL, valor numeric) PARTITION BY RANGE (ano);
CREATE TABLE vendas.metas_2026 PARTITION OF vendas.metas FOR VALUES FROM (2026) TO (2030);
CREATE FOREIGN TABLE vendas.metas_externas PARTITION OF vendas.metas FOR VALUES FROM (2030) TO (2040)
    SERVER arquivos OPTIONS (filename '/dev/null', format 'csv');
INSERT INTO vendas.metas VALUES (2026, 10.5), (2027, NULL);

-------------------------------------------------------------------------------------------------------------------
-- Publications.
-------------------------------------------------------------------------------------------------------------------

CREATE PUBLICATION pub_vendas FOR TABLE vendas.pedidos, public.lojas (id, nome) WHERE (id > 3)
    WITH (publish = 'insert, update', publish_via_partition_root = true);
CREATE PUBLICATION pub_arquivo FOR TABLES IN SCHEMA arquivo;
CREATE PUBLICATION "pub; tudo" FOR ALL TABLES WITH (publish = 'truncate');
COMMENT ON PUBLICATION pub_vendas IS 'para o painel';

-------------------------------------------------------------------------------------------------------------------
-- Owners and grants: with GRANT OPTION, on columns, on functions and types, revoked from PUBLIC, on system functions,
-- on an extension's members, by default. Restored without the roles, all of it is silently the superuser's.
-------------------------------------------------------------------------------------------------------------------

ALTER TABLE public.eventos OWNER TO desbuquei_app;
ALTER TABLE vendas.pedidos OWNER TO desbuquei_app;
ALTER FUNCTION public.normaliza(text) OWNER TO desbuquei_app;
ALTER TYPE public.plano OWNER TO "Operação Noturna";
ALTER VIEW public.hierarquia OWNER TO desbuquei_leitura;
ALTER SEQUENCE public.nota_fiscal OWNER TO desbuquei_app;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public, vendas, extensoes, "Relatórios; 2026" TO desbuquei_app, desbuquei_leitura, "Operação Noturna";
GRANT CREATE ON SCHEMA arquivo TO "Operação Noturna" WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA vendas TO desbuquei_leitura;
GRANT SELECT, INSERT ON public.clientes TO desbuquei_app WITH GRANT OPTION;
SET LOCAL ROLE desbuquei_app;
GRANT SELECT ON public.clientes TO desbuquei_leitura; -- granted by another than the owner
RESET ROLE;
GRANT SELECT (id, nome), UPDATE (nome) ON public.clientes TO "Operação Noturna";
GRANT SELECT (id), REFERENCES (id) ON public.lojas TO PUBLIC;
GRANT MAINTAIN, TRUNCATE ON public.vendas_por_dia TO "Operação Noturna";
GRANT USAGE, SELECT ON SEQUENCE public.nota_fiscal TO desbuquei_leitura;
REVOKE ALL ON TABLE public.lojas FROM CURRENT_USER; -- even its owner may not
REVOKE ALL ON FUNCTION public.finge_ser_dump() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.finge_ser_dump() TO "Operação Noturna";
REVOKE EXECUTE ON PROCEDURE vendas.fecha_dia(date, integer) FROM PUBLIC;
REVOKE USAGE ON TYPE public.dinheiro FROM PUBLIC;
GRANT USAGE ON TYPE public.dinheiro TO desbuquei_app;
GRANT USAGE ON DOMAIN public.documento TO desbuquei_leitura;
GRANT USAGE ON FOREIGN SERVER matriz TO desbuquei_app;
GRANT USAGE ON FOREIGN DATA WRAPPER file_fdw TO "Operação Noturna";
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO desbuquei_app;
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION extensoes.gen_random_bytes(integer) FROM PUBLIC;
GRANT SELECT ON pg_catalog.pg_largeobject TO desbuquei_suporte;

ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO desbuquei_leitura;
ALTER DEFAULT PRIVILEGES FOR ROLE desbuquei_app IN SCHEMA vendas GRANT INSERT, UPDATE ON TABLES TO "Operação Noturna" WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE desbuquei_app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA vendas GRANT USAGE ON SEQUENCES TO desbuquei_leitura;

-------------------------------------------------------------------------------------------------------------------
-- Comments, with quotes and line breaks, some that look like SQL.
-------------------------------------------------------------------------------------------------------------------

COMMENT ON SCHEMA vendas IS 'O que se vende';
COMMENT ON SCHEMA public IS 'esquema padrão; trocado';
COMMENT ON TABLE public.clientes IS E'Clientes: "todos";\n\\.\nDROP TABLE public.clientes; -- it''s só texto\n\\connect outra';
COMMENT ON COLUMN public.clientes."aceita promoção?" IS E'sim\\não\t%s $$';
COMMENT ON CONSTRAINT sem_sobreposicao ON public.reservas IS 'uma sala, um cliente';
COMMENT ON INDEX public.clientes_nome_trgm IS 'busca aproximada';
COMMENT ON FUNCTION public.finge_ser_dump() IS 'o corpo parece um dump';
COMMENT ON PROCEDURE vendas.fecha_dia(date, integer) IS '🌙';
COMMENT ON TYPE public.dinheiro IS 'valor e moeda';
COMMENT ON DOMAIN public.documento IS 'CPF ou CNPJ';
COMMENT ON SEQUENCE public.nunca_usada IS 'is_called = false';
COMMENT ON VIEW public.hierarquia IS 'recursiva';
COMMENT ON COLUMN public.hierarquia.nivel IS 'distância até o topo';
COMMENT ON FOREIGN TABLE public.estoque_matriz IS 'não ler';
COMMENT ON TEXT SEARCH DICTIONARY public.palavras IS 'simples';
COMMENT ON CONVERSION public.latim IS 'latim';
COMMENT ON ACCESS METHOD guarda IS 'heap com outro nome';

ALTER FUNCTION public.normaliza(text) DEPENDS ON EXTENSION unaccent;
ALTER INDEX public.clientes_nome_trgm DEPENDS ON EXTENSION pg_trgm;

-------------------------------------------------------------------------------------------------------------------
-- A tablespace: it belongs to the server; without it there, its tables are refused.
-------------------------------------------------------------------------------------------------------------------

CREATE TABLE arquivo.notas_antigas (id integer, chave text, emitida date);
INSERT INTO arquivo.notas_antigas SELECT i, md5('n' || i), date '2015-01-01' + i FROM generate_series(1, 1000) AS i;
ALTER TABLE arquivo.notas_antigas ADD CONSTRAINT notas_antigas_pkey PRIMARY KEY (id);
CREATE INDEX notas_antigas_chave ON arquivo.notas_antigas (chave);
DO $$
BEGIN
    IF current_setting('samples.tablespace') = 'on' THEN
        ALTER TABLE arquivo.notas_antigas SET TABLESPACE desbuquei_frio;
        ALTER INDEX arquivo.notas_antigas_chave SET TABLESPACE desbuquei_frio;
        GRANT CREATE ON TABLESPACE desbuquei_frio TO desbuquei_app;
        COMMENT ON TABLESPACE desbuquei_frio IS 'disco lento';
    END IF;
END
$$;

-------------------------------------------------------------------------------------------------------------------
-- The database itself: none of this is in a plain dump. The settings change how values look and end what takes long.
-------------------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    banco text := quote_ident(current_database());
BEGIN
    EXECUTE 'ALTER DATABASE ' || banco || ' OWNER TO desbuquei_app';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET TimeZone = ''America/Sao_Paulo''';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET search_path = vendas, public, extensoes';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET DateStyle = ''SQL, DMY''';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET IntervalStyle = ''iso_8601''';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET bytea_output = ''escape''';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET extra_float_digits = -5';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET idle_in_transaction_session_timeout = ''2min''';
    EXECUTE 'ALTER DATABASE ' || banco || ' SET desbuquei.ambiente = ''it''''s produção''';
    EXECUTE 'ALTER ROLE desbuquei_leitura IN DATABASE ' || banco || ' SET work_mem = ''64MB''';
    EXECUTE 'ALTER ROLE "Operação Noturna" IN DATABASE ' || banco || ' SET statement_timeout = ''4h''';
    EXECUTE 'COMMENT ON DATABASE ' || banco || ' IS ''Amostra "desbuquei"; it''''s fictícia''';
    EXECUTE 'REVOKE ALL ON DATABASE ' || banco || ' FROM PUBLIC';
    EXECUTE 'GRANT CONNECT, TEMPORARY ON DATABASE ' || banco || ' TO desbuquei_leitura';
    EXECUTE 'GRANT CREATE ON DATABASE ' || banco || ' TO "Operação Noturna" WITH GRANT OPTION';
END
$$;

COMMIT;

ANALYZE;
