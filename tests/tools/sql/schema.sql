-- A schema with something of everything, for SQLsmith, psql and pg_dump.
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (x integer, y text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE SEQUENCE counter START 10;
CREATE TABLE customers (
    id serial PRIMARY KEY,
    name text NOT NULL,
    email varchar(200) UNIQUE,
    born date,
    mood mood DEFAULT 'ok',
    tags text[],
    profile jsonb,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE "Order" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id integer REFERENCES customers ON DELETE CASCADE,
    total numeric(12, 2) CHECK (total >= 0),
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED,
    placed timestamp,
    "Note" text
);
CREATE TABLE sales.items (
    order_id bigint REFERENCES "Order",
    position smallint,
    product uuid,
    quantity positive,
    price real,
    size pair,
    PRIMARY KEY (order_id, position)
);
CREATE TABLE events (
    id bigserial, at timestamptz NOT NULL, kind char(3), body json,
    span tstzrange, address inet, payload bytea, took interval
) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE base (a integer, b text);
CREATE TABLE child (c double precision) INHERITS (base);
CREATE TABLE shapes (p point, c circle, b box, words tsvector, bits bit(8),
    mac macaddr, cash money, doc xml);
CREATE INDEX ON customers (lower(name)) WHERE active;
CREATE INDEX ON "Order" USING brin (placed);
CREATE INDEX ON customers USING gin (tags);
CREATE VIEW big_orders AS
    SELECT o.id, c.name, o.total FROM "Order" o JOIN customers c
    ON c.id = o.customer_id WHERE o.total > 100;
CREATE MATERIALIZED VIEW totals AS
    SELECT customer_id, sum(total) AS total FROM "Order" GROUP BY 1;
CREATE FUNCTION add(a integer, b integer DEFAULT 1) RETURNS integer
    LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.created_at := now(); RETURN NEW; END $$;
CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM events';
CREATE AGGREGATE total_of (integer) (sfunc = int4pl, stype = integer);
CREATE OPERATOR === (leftarg = integer, rightarg = integer,
    function = int4eq);
CREATE TRIGGER touched BEFORE UPDATE ON customers
    FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE no_delete AS ON DELETE TO base DO INSTEAD NOTHING;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON customers USING (name = current_user);
CREATE PUBLICATION everything FOR TABLE customers, "Order";
CREATE STATISTICS both_of (dependencies) ON customer_id, total FROM "Order";
COMMENT ON TABLE customers IS 'who buys';
GRANT SELECT ON customers TO PUBLIC;
INSERT INTO customers (name, email) SELECT 'c' || i, i || '@example.org'
    FROM generate_series(1, 50) i;
INSERT INTO "Order" (customer_id, total) SELECT i, i * 3
    FROM generate_series(1, 50) i;
INSERT INTO base VALUES (1, 'one');
ANALYZE;
