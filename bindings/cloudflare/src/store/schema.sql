CREATE TABLE IF NOT EXISTS sayiir_counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sayiir_guard (
    why TEXT NOT NULL, CONSTRAINT moved CHECK (why <> 'moved'), CONSTRAINT ended CHECK (why <> 'ended'),
    CONSTRAINT event CHECK (why <> 'event'), CONSTRAINT parent CHECK (why <> 'parent'), CONSTRAINT known CHECK (why <> 'known'),
    CONSTRAINT unknown CHECK (why <> 'unknown'), CONSTRAINT already CHECK (why <> 'already'), CONSTRAINT duplicate CHECK (why <> 'duplicate')
);

CREATE TABLE IF NOT EXISTS sayiir_definition (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, document TEXT, UNIQUE (hash, name, version)
);

CREATE TABLE IF NOT EXISTS sayiir_lane (
    id INTEGER PRIMARY KEY, definition INTEGER NOT NULL, tags TEXT NOT NULL, UNIQUE (definition, tags)
);

CREATE TABLE IF NOT EXISTS sayiir_session (
    lease INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, worker_id TEXT NOT NULL,
    seen_at INTEGER NOT NULL, ttl INTEGER
);
CREATE INDEX IF NOT EXISTS sayiir_session_seen ON sayiir_session (seen_at);

CREATE TABLE IF NOT EXISTS sayiir_instance (
    run INTEGER PRIMARY KEY, instance_id TEXT NOT NULL UNIQUE, status INTEGER NOT NULL, paused INTEGER NOT NULL DEFAULT 0,
    previous INTEGER, definition INTEGER, control INTEGER NOT NULL DEFAULT 0, mail INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, nonce TEXT, first_node TEXT, lane INTEGER, priority INTEGER,
    trace TEXT, end_branch TEXT, end_revision INTEGER,
    request_reason TEXT, request_by TEXT, request_at INTEGER,
    cancel_reason TEXT, cancel_by TEXT, cancel_at INTEGER,
    pause_reason TEXT, pause_by TEXT, pause_at INTEGER
);

CREATE INDEX IF NOT EXISTS sayiir_instance_of_workflow ON sayiir_instance (definition, instance_id);
CREATE INDEX IF NOT EXISTS sayiir_instance_ended ON sayiir_instance (updated_at) WHERE status > 1;

CREATE TABLE IF NOT EXISTS sayiir_attribute (
    run INTEGER NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, number INTEGER, text TEXT, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sayiir_attribute_number ON sayiir_attribute (name, kind, number) WHERE number IS NOT NULL;
CREATE INDEX IF NOT EXISTS sayiir_attribute_text ON sayiir_attribute (name, kind, text) WHERE text IS NOT NULL;

CREATE TABLE IF NOT EXISTS sayiir_branch (
    run INTEGER NOT NULL, branch TEXT NOT NULL, revision INTEGER NOT NULL, lease INTEGER, crashes INTEGER NOT NULL DEFAULT 0,
    node TEXT NOT NULL, phase INTEGER NOT NULL, attempt INTEGER NOT NULL,
    input_branch TEXT NOT NULL, input_revision INTEGER NOT NULL, fork_revision INTEGER NOT NULL,
    pending INTEGER NOT NULL DEFAULT 0, due_at INTEGER, awaits TEXT, lane INTEGER NOT NULL, priority INTEGER NOT NULL,
    run_at INTEGER, moved_at INTEGER NOT NULL, attempt_at INTEGER NOT NULL, progress BLOB, progress_at INTEGER,
    PRIMARY KEY (run, branch)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sayiir_branch_due ON sayiir_branch (lane, priority, run_at) WHERE run_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS sayiir_branch_leased ON sayiir_branch (lease) WHERE lease IS NOT NULL;
CREATE INDEX IF NOT EXISTS sayiir_branch_awaiting ON sayiir_branch (run, awaits) WHERE awaits IS NOT NULL;

CREATE TABLE IF NOT EXISTS sayiir_journal (
    run INTEGER NOT NULL, branch TEXT NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL, lease INTEGER,
    kind INTEGER NOT NULL, attempt INTEGER NOT NULL, node TEXT NOT NULL, same_branch TEXT, same_revision INTEGER,
    output BLOB, handed_on BLOB, error TEXT,
    PRIMARY KEY (run, branch, revision)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sayiir_journal_sub_step ON sayiir_journal (run, branch, node) WHERE kind = 17;

CREATE TABLE IF NOT EXISTS sayiir_event (
    run INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (run, name, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sayiir_event_key (run INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (run, key)) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sayiir_purge (run INTEGER PRIMARY KEY);

INSERT OR IGNORE INTO sayiir_counter VALUES ('run', 0), ('lease', 0), ('version', 1);
