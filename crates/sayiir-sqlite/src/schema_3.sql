-- Version 3. Search attributes (`kind` is the type; a number or a text); when a session was seen last; and where instances are
-- found without a look at all of them: by workflow, by state where that is not the common one (an end as 2 is), and by their
-- end (0 has events only). A step writes none of these.
CREATE TABLE attribute (
    run INTEGER NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, value NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX attribute_value ON attribute (name, kind, value);

ALTER TABLE session ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX session_seen ON session (seen_at);

CREATE INDEX instance_of_workflow ON instance (definition, instance_id);
CREATE INDEX instance_in_state ON instance (status, paused, instance_id) WHERE status = 1 OR status = 3 OR status = 4;
CREATE INDEX instance_ended ON instance (definition, updated_at) WHERE status > 1;
