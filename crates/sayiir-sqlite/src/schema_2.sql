-- Version 2. What was said of a definition, as text; the trace context of a run; the latest progress of an attempt; and
-- where a task's sub-steps are (kind 17), however long the branch's journal is: other rows are in no index.
ALTER TABLE definition ADD COLUMN document TEXT;
ALTER TABLE instance ADD COLUMN trace TEXT;
ALTER TABLE branch ADD COLUMN progress BLOB;
ALTER TABLE branch ADD COLUMN progress_at INTEGER;
CREATE INDEX journal_sub_step ON journal (run, branch, node) WHERE kind = 17;
