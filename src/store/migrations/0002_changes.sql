-- An admin's change that loosens what Sluice enforces waits for a second admin, as a review like any other.
ALTER TABLE sluice.reviews DROP CONSTRAINT reviews_kind_check, ADD CONSTRAINT reviews_kind_check CHECK (kind IN ('statement', 'answer', 'change'));
