-- The control plane's tables. Times are Unix milliseconds. No secret stands here in clear: tokens are hashes, secrets are sealed.
CREATE SCHEMA IF NOT EXISTS sluice;

-- The later of the caller's clock (which never goes back within a process) and the server's: an expiry errs to the early side.
CREATE FUNCTION sluice.now_ms(caller_ms bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
  $$ SELECT greatest(caller_ms, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) $$;

-- Running gateways. A held review dies with the instance that holds its client.
CREATE TABLE sluice.instances (
  number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  started_ms bigint NOT NULL,
  beat_ms bigint NOT NULL,
  ended_ms bigint
);

CREATE TABLE sluice.tokens (
  hash text PRIMARY KEY,
  id text NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('resource', 'web', 'emergency')),
  identity jsonb NOT NULL,
  party text NOT NULL,
  resource text,
  -- The credential it was made from: revoking that revokes this.
  parent_hash text,
  parent_token_id text,
  issued_ms bigint NOT NULL,
  expires_ms bigint NOT NULL,
  -- Sticky: what has expired once stays so, whatever the clock does next.
  ended_ms bigint,
  ended_by text,
  CHECK ((kind = 'resource') = (resource IS NOT NULL))
);
CREATE INDEX tokens_party ON sluice.tokens (party) WHERE ended_ms IS NULL;
CREATE INDEX tokens_expiry ON sluice.tokens (expires_ms) WHERE ended_ms IS NULL;

CREATE TABLE sluice.revocations (
  kind text NOT NULL CHECK (kind IN ('credential', 'token-id', 'subject')),
  value text NOT NULL,
  at_ms bigint NOT NULL,
  by_whom text NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (kind, value)
);

-- What the latest accepted credential said of an identity: lets a release check the approver's groups again.
CREATE TABLE sluice.people (
  issuer text NOT NULL,
  subject text NOT NULL,
  groups text[] NOT NULL,
  agent boolean NOT NULL,
  seen_ms bigint NOT NULL,
  PRIMARY KEY (issuer, subject)
);
-- Credentials whose word was taken already: one that is shown again says nothing new, and doesn't override a later one.
CREATE TABLE sluice.people_credentials (
  hash text PRIMARY KEY,
  expires_ms bigint NOT NULL
);
CREATE INDEX people_credentials_expiry ON sluice.people_credentials (expires_ms);

CREATE TABLE sluice.reviews (
  id text PRIMARY KEY,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'denied', 'expired', 'cancelled', 'used')),
  wait text NOT NULL CHECK (wait IN ('hold', 'refuse')),
  instance int,
  session text NOT NULL,
  run bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('statement', 'answer')),
  resource text NOT NULL,
  database text NOT NULL,
  requester text NOT NULL,
  on_behalf_of text,
  party text NOT NULL,
  parties text[] NOT NULL CHECK (cardinality(parties) > 0),
  rule text NOT NULL,
  reason text NOT NULL,
  -- JSON text, not jsonb: it must come back exactly as it went in.
  shown text NOT NULL,
  -- For lists, so that they don't read the whole of it.
  summary text NOT NULL,
  text_lines int NOT NULL,
  text_characters int NOT NULL,
  binding text NOT NULL,
  reviewer_groups text[] NOT NULL,
  reviewer_users text[] NOT NULL,
  within_ms bigint NOT NULL CHECK (within_ms > 0),
  created_ms bigint NOT NULL,
  expires_ms bigint NOT NULL,
  decided_ms bigint,
  decided_issuer text,
  decided_by text,
  comment text,
  ended_ms bigint,
  ended_why text,
  CHECK (state NOT IN ('approved', 'denied', 'used') OR decided_by IS NOT NULL)
);
CREATE UNIQUE INDEX reviews_merged ON sluice.reviews (party, resource, binding) WHERE wait = 'refuse' AND state = 'waiting';
CREATE INDEX reviews_open ON sluice.reviews (state, expires_ms) WHERE state IN ('waiting', 'approved');
CREATE INDEX reviews_grant ON sluice.reviews (binding) WHERE wait = 'refuse' AND state = 'approved';
CREATE INDEX reviews_party ON sluice.reviews (party, created_ms);
CREATE INDEX reviews_created ON sluice.reviews (created_ms);

-- Every step of a review; written by the trigger alone, so that no code path can forget it.
CREATE TABLE sluice.review_steps (
  review text NOT NULL REFERENCES sluice.reviews ON DELETE CASCADE,
  number int GENERATED ALWAYS AS IDENTITY,
  at_ms bigint NOT NULL,
  state text NOT NULL,
  actor text NOT NULL,
  note text,
  PRIMARY KEY (review, number)
);

-- What was asked may not change, an end is an end, and nothing is approved by nobody.
CREATE FUNCTION sluice.review_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('denied', 'expired', 'cancelled', 'used') THEN
    RAISE EXCEPTION 'review % has ended', OLD.id USING ERRCODE = '55000';
  END IF;
  IF NEW.state = 'used' AND OLD.state <> 'approved' THEN
    RAISE EXCEPTION 'review % is not approved', OLD.id USING ERRCODE = '55000';
  END IF;
  IF (NEW.id, NEW.binding, NEW.shown, NEW.parties, NEW.party, NEW.resource, NEW.database, NEW.session, NEW.run, NEW.wait, NEW.kind, NEW.rule,
      NEW.reviewer_groups, NEW.reviewer_users, NEW.created_ms, NEW.requester)
     IS DISTINCT FROM
     (OLD.id, OLD.binding, OLD.shown, OLD.parties, OLD.party, OLD.resource, OLD.database, OLD.session, OLD.run, OLD.wait, OLD.kind, OLD.rule,
      OLD.reviewer_groups, OLD.reviewer_users, OLD.created_ms, OLD.requester) THEN
    RAISE EXCEPTION 'review % may not be changed', OLD.id USING ERRCODE = '55000';
  END IF;
  IF OLD.decided_by IS NOT NULL AND (NEW.decided_by, NEW.decided_issuer, NEW.comment) IS DISTINCT FROM (OLD.decided_by, OLD.decided_issuer, OLD.comment) THEN
    RAISE EXCEPTION 'review % was decided already', OLD.id USING ERRCODE = '55000';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER review_guard BEFORE UPDATE ON sluice.reviews FOR EACH ROW EXECUTE FUNCTION sluice.review_guard();

CREATE FUNCTION sluice.review_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE actor text := CASE
  WHEN NEW.state = 'waiting' THEN NEW.requester
  WHEN NEW.state IN ('approved', 'denied') THEN NEW.decided_issuer || ' ' || NEW.decided_by
  ELSE 'sluice' END;
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.state = OLD.state THEN RETURN NULL; END IF;
  INSERT INTO sluice.review_steps (review, at_ms, state, actor, note)
    VALUES (NEW.id, coalesce(NEW.ended_ms, NEW.decided_ms, NEW.created_ms), NEW.state, actor, coalesce(NEW.ended_why, NEW.comment));
  PERFORM pg_notify('sluice', json_build_object('topic', 'review', 'id', NEW.id, 'state', NEW.state, 'instance', NEW.instance)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER review_step AFTER INSERT OR UPDATE ON sluice.reviews FOR EACH ROW EXECUTE FUNCTION sluice.review_step();

-- Resources, policies and issuers registered through the API; what the file declares is not here.
CREATE TABLE sluice.objects (
  kind text NOT NULL CHECK (kind IN ('resource', 'policy', 'issuer')),
  name text NOT NULL,
  body jsonb NOT NULL,
  version int NOT NULL DEFAULT 1,
  changed_ms bigint NOT NULL,
  changed_by text NOT NULL,
  PRIMARY KEY (kind, name)
);

-- AES-256-GCM; the key is in a file outside this database. `name` is authenticated with it, so that rows can't be exchanged.
CREATE TABLE sluice.secrets (
  name text PRIMARY KEY,
  key_id text NOT NULL,
  sealed bytea NOT NULL,
  changed_ms bigint NOT NULL,
  changed_by text NOT NULL
);

-- Rows or bytes taken from an account, in slices of its window.
CREATE TABLE sluice.budget_accounts (account text PRIMARY KEY);
CREATE TABLE sluice.budget_slices (
  account text NOT NULL,
  slice_ms bigint NOT NULL,
  taken bigint NOT NULL CHECK (taken >= 0),
  PRIMARY KEY (account, slice_ms)
);
CREATE INDEX budget_slices_age ON sluice.budget_slices (slice_ms);

-- Grants what is left of `most` within the window, at most `ask`. The account's row lock makes leases one after another, and
-- each statement of the function sees what the one before it waited for.
CREATE FUNCTION sluice.lease(of_account text, slice bigint, slice_count int, slice_width bigint, most bigint, ask bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE spent bigint; granted bigint;
BEGIN
  INSERT INTO sluice.budget_accounts VALUES (of_account) ON CONFLICT DO NOTHING;
  PERFORM 1 FROM sluice.budget_accounts WHERE account = of_account FOR UPDATE;
  SELECT coalesce(sum(taken), 0) INTO spent FROM sluice.budget_slices WHERE account = of_account AND slice_ms > slice - slice_count * slice_width;
  granted := greatest(0, least(ask, most - spent));
  IF granted > 0 THEN
    INSERT INTO sluice.budget_slices VALUES (of_account, slice, granted)
      ON CONFLICT (account, slice_ms) DO UPDATE SET taken = sluice.budget_slices.taken + granted;
  END IF;
  RETURN granted;
END $$;

-- The index of admin actions; the truth is the Record, which got each of them first.
CREATE TABLE sluice.admin_events (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at_ms bigint NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);

-- Can be rebuilt from the record.
CREATE TABLE sluice.sessions (
  session text PRIMARY KEY,
  resource text NOT NULL,
  protocol text NOT NULL,
  database text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL,
  on_behalf_of text,
  agent boolean NOT NULL,
  client text NOT NULL,
  started_ms bigint NOT NULL,
  ended_ms bigint,
  ended_why text,
  statements bigint NOT NULL DEFAULT 0,
  denied bigint NOT NULL DEFAULT 0,
  reviewed bigint NOT NULL DEFAULT 0,
  rows bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  masked bigint NOT NULL DEFAULT 0
);
CREATE INDEX sessions_started ON sluice.sessions (started_ms DESC);
CREATE INDEX sessions_subject ON sluice.sessions (subject, started_ms DESC);
CREATE INDEX sessions_resource ON sluice.sessions (resource, started_ms DESC);

-- Each use of a break-glass account.
CREATE TABLE sluice.emergency_uses (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_id text NOT NULL,
  subject text NOT NULL,
  at_ms bigint NOT NULL,
  what text NOT NULL
);
