-- Version 2. Search attributes (`kind` is the type; a number or a text); when a session was seen last; and where instances are
-- found without a look at all of them: by workflow, by state where that is not the common one (an end as 2 is), and by their
-- end (0 has events only). A step writes none of these.
CREATE TABLE attribute (
    run bigint NOT NULL, number bigint, kind smallint NOT NULL, name text COLLATE "C" NOT NULL, text text COLLATE "C",
    PRIMARY KEY (run, name)
);
CREATE INDEX attribute_number ON attribute (name, kind, number) WHERE number IS NOT NULL;
CREATE INDEX attribute_text ON attribute (name, text) WHERE text IS NOT NULL;

ALTER TABLE session ADD COLUMN seen_at bigint NOT NULL DEFAULT 0;
CREATE INDEX session_seen ON session (seen_at);

CREATE INDEX instance_of_workflow ON instance (definition, instance_id);
CREATE INDEX instance_in_state ON instance (status, instance_id) WHERE status IN (1, 3, 4);
CREATE INDEX instance_ended ON instance (definition, updated_at) WHERE status > 1;
