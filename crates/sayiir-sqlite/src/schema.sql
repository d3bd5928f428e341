-- Version 1. Codes: `status` 0 mail only, 1 running, 2 completed, 3 failed, 4 cancelled; times are microseconds.
-- A plain advance updates one `branch` row in columns that no index has, and inserts one `journal` row.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('run', 0), ('lease', 0);

CREATE TABLE definition (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, UNIQUE (hash, name, version)
);

CREATE TABLE lane (
    id INTEGER PRIMARY KEY, definition INTEGER NOT NULL, tags TEXT NOT NULL, UNIQUE (definition, tags)
);

CREATE TABLE session (
    lease INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started BLOB NOT NULL,
    worker_id TEXT NOT NULL, ttl INTEGER
);

-- `previous` is the run before this one, whose journal is kept so that a late writer learns what became of its write.
-- `request` is the control request in force, `cancel` and `pause` are recorded ones; each is there if its time is.
CREATE TABLE instance (
    run INTEGER PRIMARY KEY, instance_id TEXT NOT NULL UNIQUE, status INTEGER NOT NULL, paused INTEGER NOT NULL DEFAULT 0,
    previous INTEGER, definition INTEGER, control INTEGER NOT NULL DEFAULT 0, mail INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, nonce BLOB, first_node TEXT, lane INTEGER, priority INTEGER,
    end_branch TEXT, end_revision INTEGER,
    request_reason TEXT, request_by TEXT, request_at INTEGER,
    cancel_reason TEXT, cancel_by TEXT, cancel_at INTEGER,
    pause_reason TEXT, pause_by TEXT, pause_at INTEGER
);

-- `moved_at` is the time of the last journal row that the next one must not precede; `attempt_at` is when the present
-- attempt began, by a claim or by the step before it.
CREATE TABLE branch (
    run INTEGER NOT NULL, branch TEXT NOT NULL, revision INTEGER NOT NULL, lease INTEGER, crashes INTEGER NOT NULL DEFAULT 0,
    node TEXT NOT NULL, phase INTEGER NOT NULL, attempt INTEGER NOT NULL,
    input_branch TEXT NOT NULL, input_revision INTEGER NOT NULL, fork_revision INTEGER NOT NULL,
    pending INTEGER NOT NULL DEFAULT 0, due_at INTEGER, awaits TEXT, lane INTEGER NOT NULL, priority INTEGER NOT NULL,
    run_at INTEGER, moved_at INTEGER NOT NULL, attempt_at INTEGER NOT NULL,
    PRIMARY KEY (run, branch)
) WITHOUT ROWID;
CREATE INDEX branch_due ON branch (lane, priority, run_at) WHERE run_at IS NOT NULL;
CREATE INDEX branch_leased ON branch (lease) WHERE lease IS NOT NULL;
CREATE INDEX branch_awaiting ON branch (run, awaits) WHERE awaits IS NOT NULL;

CREATE TABLE journal (
    run INTEGER NOT NULL, branch TEXT NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL, lease INTEGER,
    kind INTEGER NOT NULL, attempt INTEGER NOT NULL, node TEXT NOT NULL, same_branch TEXT, same_revision INTEGER,
    output BLOB, handed_on BLOB, error TEXT,
    PRIMARY KEY (run, branch, revision)
) WITHOUT ROWID;

CREATE TABLE event (
    run INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (run, name, seq)
) WITHOUT ROWID;
CREATE TABLE event_key (run INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (run, key)) WITHOUT ROWID;

-- Runs that were replaced and whose journals are still to be deleted.
CREATE TABLE purge (run INTEGER PRIMARY KEY);
