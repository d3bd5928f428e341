-- Version 1. Codes: `status` 0 mail only, 1 running, 2 completed, 3 failed, 4 cancelled; times are microseconds since 1970.
-- A plain advance updates one `branch` row in columns that no index has (so that the update is HOT), and inserts one
-- `journal` row. Texts that order or lock rows are in byte order: an ancestor branch sorts before its descendants.
CREATE SEQUENCE run_number;
CREATE SEQUENCE lease_number;

-- `key` is the SHA-256 of name and version: they may be longer than an index entry.
CREATE TABLE definition (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, hash bytea NOT NULL, key bytea NOT NULL,
    name text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL, document text, UNIQUE (hash, key)
);

-- `key` is the SHA-256 of the tags.
CREATE TABLE lane (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, definition bigint NOT NULL, key bytea NOT NULL,
    tags text[] COLLATE "C" NOT NULL, UNIQUE (definition, key)
);

CREATE TABLE session (
    lease bigint PRIMARY KEY, host text NOT NULL, pid bigint NOT NULL, started bytea NOT NULL, worker_id text NOT NULL, ttl bigint
);

-- `previous` is the run before this one, whose journal is kept so that a late writer learns what became of its write.
-- `request` is the control request in force, `cancel` and `pause` are recorded ones; each is there if its time is.
CREATE TABLE instance (
    instance_id text COLLATE "C" PRIMARY KEY, run bigint NOT NULL UNIQUE, previous bigint, definition bigint,
    control bigint NOT NULL DEFAULT 0, mail bigint NOT NULL DEFAULT 0, created_at bigint NOT NULL, updated_at bigint NOT NULL,
    lane bigint, end_revision bigint, request_at bigint, cancel_at bigint, pause_at bigint,
    status smallint NOT NULL, priority smallint, paused boolean NOT NULL DEFAULT false,
    nonce bytea, first_node text, end_branch text COLLATE "C", trace text,
    request_reason text, request_by text, cancel_reason text, cancel_by text, pause_reason text, pause_by text
) WITH (fillfactor = 80);

-- `moved_at` is the time of the last journal row that the next one must not precede; `attempt_at` is when the present
-- attempt began, by a claim or by the step before it.
CREATE TABLE branch (
    run bigint NOT NULL, branch text COLLATE "C" NOT NULL, revision bigint NOT NULL, lease bigint, input_revision bigint NOT NULL,
    fork_revision bigint NOT NULL, due_at bigint, run_at bigint, moved_at bigint NOT NULL, attempt_at bigint NOT NULL,
    progress_at bigint, lane bigint NOT NULL, pending integer NOT NULL DEFAULT 0, crashes integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL, phase smallint NOT NULL, priority smallint NOT NULL,
    node text NOT NULL, input_branch text COLLATE "C" NOT NULL, awaits text COLLATE "C", progress bytea,
    PRIMARY KEY (run, branch)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX branch_due ON branch (lane, priority, run_at) WHERE run_at IS NOT NULL;
CREATE INDEX branch_leased ON branch (lease) WHERE lease IS NOT NULL;
CREATE INDEX branch_awaiting ON branch (run, awaits) WHERE awaits IS NOT NULL;

CREATE TABLE journal (
    run bigint NOT NULL, branch text COLLATE "C" NOT NULL, revision bigint NOT NULL, at bigint NOT NULL, lease bigint,
    same_revision bigint, attempt integer NOT NULL, kind smallint NOT NULL, node text COLLATE "C" NOT NULL,
    same_branch text COLLATE "C", output bytea, handed_on bytea, error text,
    PRIMARY KEY (run, branch, revision)
);
-- Where a task's sub-steps are (kind 17), however long the branch's journal is: other rows are in no index.
CREATE INDEX journal_sub_step ON journal (run, branch, node) WHERE kind = 17;

CREATE TABLE event (
    run bigint NOT NULL, name text COLLATE "C" NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, payload bytea NOT NULL,
    PRIMARY KEY (run, name, seq)
);
CREATE TABLE event_key (run bigint NOT NULL, key text COLLATE "C" NOT NULL, PRIMARY KEY (run, key));

-- Runs that were replaced and whose journals are still to be deleted.
CREATE TABLE purge (run bigint PRIMARY KEY);
