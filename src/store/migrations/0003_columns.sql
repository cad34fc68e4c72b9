-- Which columns a session's statements named, so that "who saw this column" is one question.
ALTER TABLE sluice.sessions ADD COLUMN columns text[] NOT NULL DEFAULT '{}';
CREATE INDEX sessions_columns ON sluice.sessions USING gin (columns);
