SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA golden;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE golden.branch (
    run bigint NOT NULL,
    branch text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    lease bigint,
    input_revision bigint NOT NULL,
    fork_revision bigint NOT NULL,
    due_at bigint,
    run_at bigint,
    moved_at bigint NOT NULL,
    attempt_at bigint NOT NULL,
    progress_at bigint,
    lane bigint NOT NULL,
    pending integer DEFAULT 0 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    attempt integer NOT NULL,
    phase smallint NOT NULL,
    priority smallint NOT NULL,
    node text NOT NULL,
    input_branch text NOT NULL COLLATE pg_catalog."C",
    awaits text COLLATE pg_catalog."C",
    progress bytea
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='500', autovacuum_analyze_scale_factor='0.2', autovacuum_vacuum_cost_delay='0');
CREATE TABLE golden.definition (
    id bigint NOT NULL,
    hash bytea NOT NULL,
    key bytea NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    document text
);
ALTER TABLE golden.definition ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME golden.definition_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE golden.event (
    run bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    at bigint NOT NULL,
    payload bytea NOT NULL
);
CREATE TABLE golden.event_key (
    run bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE golden.instance (
    instance_id text NOT NULL COLLATE pg_catalog."C",
    run bigint NOT NULL,
    previous bigint,
    definition bigint,
    control bigint DEFAULT 0 NOT NULL,
    mail bigint DEFAULT 0 NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    lane bigint,
    end_revision bigint,
    request_at bigint,
    cancel_at bigint,
    pause_at bigint,
    status smallint NOT NULL,
    priority smallint,
    paused boolean DEFAULT false NOT NULL,
    nonce bytea,
    first_node text,
    end_branch text COLLATE pg_catalog."C",
    trace text,
    request_reason text,
    request_by text,
    cancel_reason text,
    cancel_by text,
    pause_reason text,
    pause_by text
)
WITH (fillfactor='80');
CREATE TABLE golden.journal (
    run bigint NOT NULL,
    branch text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    at bigint NOT NULL,
    lease bigint,
    same_revision bigint,
    attempt integer NOT NULL,
    kind smallint NOT NULL,
    node text NOT NULL COLLATE pg_catalog."C",
    same_branch text COLLATE pg_catalog."C",
    output bytea,
    handed_on bytea,
    error text
);
CREATE TABLE golden.lane (
    id bigint NOT NULL,
    definition bigint NOT NULL,
    key bytea NOT NULL,
    tags text[] NOT NULL COLLATE pg_catalog."C"
);
ALTER TABLE golden.lane ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME golden.lane_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE SEQUENCE golden.lease_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE golden.purge (
    run bigint NOT NULL
);
CREATE SEQUENCE golden.run_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE golden.schema_version (
    version integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE golden.session (
    lease bigint NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    started bytea NOT NULL,
    worker_id text NOT NULL,
    ttl bigint
);
INSERT INTO golden.branch VALUES (1, '0', 3, NULL, 2, 0, 1893459600000000, 1893459600000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 2, 3, 'nap', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (2, '0', 2, NULL, 1, 0, NULL, NULL, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 3, 3, 'wait', '0', 'go', NULL);
INSERT INTO golden.branch VALUES (3, '0', 2, NULL, 1, 0, 1893459600000000, 1893459600000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 3, 3, 'wait', '0', 'go', NULL);
INSERT INTO golden.branch VALUES (4, '0', 2, NULL, 1, 0, 1893459600000000, 1893459600000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 1, 0, 3, 'first', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (5, '0', 3, NULL, 2, 0, NULL, NULL, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 3, 3, 'wait', '0', 'other', NULL);
INSERT INTO golden.branch VALUES (6, '0.2.2', 1, 1, 1, 0, 1893456000000000, 1893456030000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 1, 3, 'join/child2', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (6, '0.2.3', 1, NULL, 1, 0, 1893456000000000, 1893456000000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 1, 3, 'join/child3', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (6, '0', 2, NULL, 1, 2, NULL, NULL, 1893456000000001, 1893456000000000, NULL, 1, 3, 0, 0, 4, 3, 'join', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (6, '0.2.1', 2, NULL, 1, 0, 1893459600000000, 1893459600000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 3, 3, 'join/wait', '0', 'go', NULL);
INSERT INTO golden.branch VALUES (8, '0', 3, NULL, 1, 2, NULL, NULL, 1893456000000000, 1893456000000000, NULL, 1, 2, 0, 0, 4, 3, 'join', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (8, '0.2.1', 2, NULL, 1, 0, 1893456000000000, NULL, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 1, 3, 'join/child1', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (8, '0.2.0', 2, NULL, 1, 0, NULL, NULL, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 1, 3, 'join/child0', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (16, '0', 1, 1, 1, 0, 1893456000000000, 1893456030000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 0, 3, 'first', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (13, '0', 3, NULL, 1, 0, 1893459600000000, NULL, 1893456000000001, 1893456000000000, NULL, 1, 0, 0, 0, 2, 3, 'nap', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (12, '0', 1, NULL, 1, 0, 1893456000000000, 1893456000000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 0, 3, 'first', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (14, '0', 3, NULL, 1, 0, 1893459600000000, 1893456000000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 2, 3, 'nap', '0', NULL, NULL);
INSERT INTO golden.branch VALUES (15, '0', 1, NULL, 1, 0, 1893456000000000, 1893456000000000, 1893456000000000, 1893456000000000, NULL, 1, 0, 0, 0, 0, 3, 'first', '0', NULL, NULL);
INSERT INTO golden.definition OVERRIDING SYSTEM VALUE VALUES (1, '\xda7f739f627198465eeab537a6f7a435dc4a0c332f9e4a8462293eb3f4ab7ee0', '\x6be72338e8e6886c01ea3813a1b97154181008805ccc72c716a2d9266c997e2a', 'workflow', '1', NULL);
INSERT INTO golden.event VALUES (5, 'go', 2, 1893456000000000, '\x7365636f6e64');
INSERT INTO golden.event VALUES (17, 'go', 1, 1893456000000000, '\x6561726c79');
INSERT INTO golden.event_key VALUES (17, 'key');
INSERT INTO golden.instance VALUES ('delayed', 1, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000000', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('parked', 2, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000001', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('timed', 3, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000002', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('retrying', 4, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000003', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('mailed', 5, NULL, 1, 0, 2, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000004', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('forked', 6, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x00000000000000000000000100000005', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('completed', 7, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, 2, NULL, NULL, NULL, 2, 3, false, '\x00000000000000000000000100000006', 'first', '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('failed', 8, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, 2, NULL, NULL, NULL, 3, 3, false, '\x00000000000000000000000100000007', 'first', '0.2.0', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('cancelled', 9, NULL, 1, 1, 0, 1893456000000000, 1893456000000000, 1, NULL, 1893456000000000, 1893456000000000, NULL, 4, 3, false, '\x00000000000000000000000100000008', 'first', NULL, NULL, 'because', 'somebody', 'because', 'somebody', NULL, NULL);
INSERT INTO golden.instance VALUES ('replaced', 12, 11, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x0000000000000000000000000000004d', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('paused', 13, NULL, 1, 1, 0, 1893456000000000, 1893456000000000, 1, NULL, 1893456000000000, NULL, 1893456000000000, 1, 3, true, '\x0000000000000000000000010000000c', 'first', NULL, NULL, 'because', 'somebody', NULL, NULL, 'because', 'somebody');
INSERT INTO golden.instance VALUES ('asked', 14, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, 1893456000000000, 1, 3, false, '\x0000000000000000000000010000000d', 'first', NULL, NULL, NULL, NULL, NULL, NULL, 'please', 'me');
INSERT INTO golden.instance VALUES ('queued', 15, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x0000000000000000000000010000000e', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('leased', 16, NULL, 1, 0, 0, 1893456000000000, 1893456000000000, 1, NULL, NULL, NULL, NULL, 1, 3, false, '\x0000000000000000000000010000000f', 'first', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.instance VALUES ('mail only', 17, NULL, NULL, 0, 1, 1893456000000000, 1893456000000000, NULL, NULL, NULL, NULL, NULL, 0, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (1, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (1, '0', 2, 1893456000000000, 1, NULL, 1, 2, 'first', NULL, '\x6f6e65', NULL, NULL);
INSERT INTO golden.journal VALUES (1, '0', 3, 1893456000000000, 1, NULL, 1, 6, 'nap', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (2, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (2, '0', 2, 1893456000000000, 1, NULL, 1, 8, 'wait', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (3, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (3, '0', 2, 1893456000000000, 1, NULL, 1, 8, 'wait', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (4, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (4, '0', 2, 1893456000000000, 1, NULL, 1, 5, 'first', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (5, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (5, '0', 2, 1893456000000000, 1, NULL, 1, 9, 'first', NULL, '\x6669727374', NULL, NULL);
INSERT INTO golden.journal VALUES (5, '0', 3, 1893456000000000, 1, NULL, 1, 8, 'wait', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (6, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (6, '0', 2, 1893456000000000, 1, NULL, 1, 11, 'join', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (6, '0.2.0', 2, 1893456000000000, 1, NULL, 1, 2, 'join/child0', NULL, '\x7a65726f', NULL, NULL);
INSERT INTO golden.journal VALUES (6, '0.2.1', 2, 1893456000000000, 1, NULL, 1, 8, 'join/wait', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (7, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (7, '0', 2, 1893456000000000, 1, NULL, 1, 2, 'first', NULL, '\x6f7574', NULL, NULL);
INSERT INTO golden.journal VALUES (8, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (8, '0', 2, 1893456000000000, 1, NULL, 1, 11, 'join', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (8, '0.2.0', 2, 1893456000000000, 1, NULL, 1, 12, 'join/child0', NULL, NULL, NULL, 'broken');
INSERT INTO golden.journal VALUES (9, '0', 1, 1893456000000000, NULL, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (9, '', 1, 1893456000000001, NULL, NULL, 0, 13, '', NULL, NULL, NULL, 'because');
INSERT INTO golden.journal VALUES (11, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (11, '0', 2, 1893456000000000, 1, NULL, 1, 2, 'first', NULL, '\x6f6620746865206f6c642072756e', NULL, NULL);
INSERT INTO golden.journal VALUES (12, '0', 1, 1893456000000000, NULL, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (13, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (13, '0', 2, 1893456000000000, 1, NULL, 1, 6, 'nap', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (13, '', 1, 1893456000000001, NULL, NULL, 0, 14, '', NULL, NULL, NULL, 'because');
INSERT INTO golden.journal VALUES (14, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (14, '0', 2, 1893456000000000, 1, NULL, 1, 6, 'nap', NULL, NULL, NULL, NULL);
INSERT INTO golden.journal VALUES (15, '0', 1, 1893456000000000, NULL, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.journal VALUES (16, '0', 1, 1893456000000000, 1, NULL, 0, 1, 'first', NULL, '\x696e707574', NULL, NULL);
INSERT INTO golden.lane OVERRIDING SYSTEM VALUE VALUES (1, 1, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '{}');
INSERT INTO golden.schema_version VALUES (1, '2026-11-26 08:23:42.035961+00');
INSERT INTO golden.session VALUES (1, 'host', 1, '\x0000000000000001', 'worker', 30000000);
SELECT pg_catalog.setval('golden.definition_id_seq', 1, true);
SELECT pg_catalog.setval('golden.lane_id_seq', 1, true);
SELECT pg_catalog.setval('golden.lease_number', 1, true);
SELECT pg_catalog.setval('golden.run_number', 17, true);
ALTER TABLE ONLY golden.branch
    ADD CONSTRAINT branch_pkey PRIMARY KEY (run, branch);
ALTER TABLE ONLY golden.definition
    ADD CONSTRAINT definition_hash_key_key UNIQUE (hash, key);
ALTER TABLE ONLY golden.definition
    ADD CONSTRAINT definition_pkey PRIMARY KEY (id);
ALTER TABLE ONLY golden.event_key
    ADD CONSTRAINT event_key_pkey PRIMARY KEY (run, key);
ALTER TABLE ONLY golden.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (run, name, seq);
ALTER TABLE ONLY golden.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (instance_id);
ALTER TABLE ONLY golden.instance
    ADD CONSTRAINT instance_run_key UNIQUE (run);
ALTER TABLE ONLY golden.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (run, branch, revision);
ALTER TABLE ONLY golden.lane
    ADD CONSTRAINT lane_definition_key_key UNIQUE (definition, key);
ALTER TABLE ONLY golden.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (id);
ALTER TABLE ONLY golden.purge
    ADD CONSTRAINT purge_pkey PRIMARY KEY (run);
ALTER TABLE ONLY golden.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY golden.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (lease);
CREATE INDEX branch_awaiting ON golden.branch USING btree (run, awaits) WHERE (awaits IS NOT NULL);
CREATE INDEX branch_due ON golden.branch USING btree (lane, priority, run_at) WHERE (run_at IS NOT NULL);
CREATE INDEX branch_leased ON golden.branch USING btree (lease) WHERE (lease IS NOT NULL);
CREATE INDEX journal_sub_step ON golden.journal USING btree (run, branch, node) WHERE (kind = 17);
