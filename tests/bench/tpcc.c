#include "tests/bench/tpcc.h"

enum {
    WAREHOUSES = 4,
    DISTRICTS = 10, /* of a warehouse */
    CUSTOMERS = 30, /* of a district; as many orders to begin with */
    ITEMS = 200
};

const char tpcc_setup[] =
    "CREATE TABLE warehouse (w_id int PRIMARY KEY, w_name text, "
    "w_tax numeric(4,4), w_ytd numeric(12,2));"
    "CREATE TABLE district (d_w_id int, d_id int, d_name text, "
    "d_tax numeric(4,4), d_ytd numeric(12,2), d_next_o_id int, "
    "PRIMARY KEY (d_w_id, d_id));"
    "CREATE TABLE customer (c_w_id int, c_d_id int, c_id int, c_last text, "
    "c_balance numeric(12,2), c_payment_cnt int, "
    "PRIMARY KEY (c_w_id, c_d_id, c_id));"
    "CREATE TABLE history (h_c_id int, h_c_d_id int, h_c_w_id int, "
    "h_amount numeric(6,2));"
    "CREATE TABLE item (i_id int PRIMARY KEY, i_name text, "
    "i_price numeric(5,2));"
    "CREATE TABLE stock (s_w_id int, s_i_id int, s_quantity int, s_ytd int, "
    "PRIMARY KEY (s_w_id, s_i_id));"
    "CREATE TABLE orders (o_w_id int, o_d_id int, o_id int, o_c_id int, "
    "o_carrier_id int, o_ol_cnt int, PRIMARY KEY (o_w_id, o_d_id, o_id));"
    "CREATE TABLE new_order (no_w_id int, no_d_id int, no_o_id int, "
    "PRIMARY KEY (no_w_id, no_d_id, no_o_id));"
    "CREATE TABLE order_line (ol_w_id int, ol_d_id int, ol_o_id int, "
    "ol_number int, ol_i_id int, ol_quantity int, ol_delivered boolean, "
    "PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number));"
    "INSERT INTO warehouse SELECT w, 'w' || w, 0.1, 0 "
    "FROM generate_series(1, 4) w;"
    "INSERT INTO district SELECT w, d, 'd' || d, 0.1, 0, 31 "
    "FROM generate_series(1, 4) w, generate_series(1, 10) d;"
    "INSERT INTO customer SELECT w, d, c, 'name' || c % 10, 0, 0 "
    "FROM generate_series(1, 4) w, generate_series(1, 10) d, "
    "generate_series(1, 30) c;"
    "INSERT INTO item SELECT i, 'item' || i, i FROM generate_series(1, 200) i;"
    "INSERT INTO stock SELECT w, i, 20 + i % 70, 0 "
    "FROM generate_series(1, 4) w, generate_series(1, 200) i;"
    "INSERT INTO orders SELECT w, d, o, o, CASE WHEN o < 21 THEN 1 END, 5 "
    "FROM generate_series(1, 4) w, generate_series(1, 10) d, "
    "generate_series(1, 30) o;"
    "INSERT INTO new_order SELECT o_w_id, o_d_id, o_id FROM orders "
    "WHERE o_carrier_id IS NULL;"
    "INSERT INTO order_line SELECT o_w_id, o_d_id, o_id, n, "
    "1 + (o_id * 7 + n * 31 + o_d_id) % 200, 5, o_carrier_id IS NOT NULL "
    "FROM orders, generate_series(1, 5) n;"
    "CREATE INDEX ON orders (o_w_id, o_d_id, o_c_id);"
    "ANALYZE";

/* 1 to n */
static long
one_of(struct tpcc *t, long n)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return 1 + (long)((t->random >> 20) % (uint64_t)n);
}

void
tpcc_read(struct tpcc *t, struct tpcc_statement *out)
{
    long w = one_of(t, WAREHOUSES), d = one_of(t, DISTRICTS),
         c = one_of(t, CUSTOMERS), i = one_of(t, ITEMS);
    switch (one_of(t, 10)) {
    case 1:
        *out = (struct tpcc_statement){
            "SELECT w_name, w_tax, w_ytd FROM warehouse WHERE w_id = $1",
            {w},
            1};
        break;
    case 2:
        *out = (struct tpcc_statement){
            "SELECT d_name, d_ytd, d_next_o_id FROM district "
            "WHERE d_w_id = $1 AND d_id = $2",
            {w, d},
            2
        };
        break;
    case 3:
    case 4:
        *out = (struct tpcc_statement){
            "SELECT c_last, c_balance FROM customer "
            "WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3",
            {w, d, c},
            3
        };
        break;
    case 5:
        *out = (struct tpcc_statement){
            "SELECT i_name, i_price FROM item WHERE i_id = $1", {i}, 1};
        break;
    case 6:
    case 7:
        *out = (struct tpcc_statement){
            "SELECT s_quantity, i_name FROM stock JOIN item ON i_id = s_i_id "
            "WHERE s_w_id = $1 AND s_i_id = $2",
            {w, i},
            2
        };
        break;
    case 8: /* Order-Status */
        *out = (struct tpcc_statement){
            "SELECT o_id, o_carrier_id, o_ol_cnt FROM orders WHERE "
            "o_w_id = $1 AND o_d_id = $2 AND o_c_id = $3 "
            "ORDER BY o_id DESC LIMIT 1",
            {w, d, c},
            3
        };
        break;
    case 9:
        *out = (struct tpcc_statement){
            "SELECT ol_i_id, ol_quantity, ol_delivered FROM order_line WHERE "
            "ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3 "
            "ORDER BY ol_number",
            {w, d, c},
            3
        };
        break;
    default: /* Stock-Level */
        *out = (struct tpcc_statement){
            "SELECT count(DISTINCT s_i_id) FROM order_line JOIN stock ON "
            "s_w_id = ol_w_id AND s_i_id = ol_i_id WHERE ol_w_id = $1 AND "
            "ol_d_id = $2 AND ol_o_id > 20 AND s_quantity < 30",
            {w, d},
            2
        };
        break;
    }
}

static void
new_order(struct tpcc *t, long w, long d, long c)
{
    long n = 3 + one_of(t, 5);
    struct tpcc_statement take = {
        "UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = $1 "
        "AND d_id = $2 RETURNING d_next_o_id - 1",
        {w, d},
        2
    };
    long o = t->run(&take);
    struct tpcc_statement order = {
        "INSERT INTO orders (o_w_id, o_d_id, o_id, o_c_id, o_ol_cnt) "
        "VALUES ($1, $2, $3, $4, $5)",
        {w, d, o, c, n},
        5
    };
    t->run(&order);
    struct tpcc_statement fresh = {
        "INSERT INTO new_order (no_w_id, no_d_id, no_o_id) "
        "VALUES ($1, $2, $3)",
        {w, d, o},
        3
    };
    t->run(&fresh);
    for (long at = 1; at <= n; at++) {
        long i = one_of(t, ITEMS), quantity = one_of(t, 10);
        struct tpcc_statement stock = {
            "UPDATE stock SET s_ytd = s_ytd + $1, s_quantity = CASE WHEN "
            "s_quantity >= $1 + 10 THEN s_quantity - $1 ELSE s_quantity - $1 "
            "+ 91 END WHERE s_w_id = $2 AND s_i_id = $3",
            {quantity, w, i},
            3
        };
        t->run(&stock);
        struct tpcc_statement line = {
            "INSERT INTO order_line (ol_w_id, ol_d_id, ol_o_id, ol_number, "
            "ol_i_id, ol_quantity, ol_delivered) "
            "VALUES ($1, $2, $3, $4, $5, $6, false)",
            {w, d, o, at, i, quantity},
            6
        };
        t->run(&line);
    }
}

static void
payment(struct tpcc *t, long w, long d, long c)
{
    long amount = one_of(t, 5000);
    struct tpcc_statement steps[] = {
        {"UPDATE warehouse SET w_ytd = w_ytd + $1 WHERE w_id = $2",
         {amount, w},
         2},
        {"UPDATE district SET d_ytd = d_ytd + $1 WHERE d_w_id = $2 AND "
         "d_id = $3",                                                         {amount, w, d},
         3},
        {"UPDATE customer SET c_balance = c_balance - $1, c_payment_cnt = "
         "c_payment_cnt + 1 WHERE c_w_id = $2 AND c_d_id = $3 AND c_id = $4", {amount, w, d, c},
         4},
        {"INSERT INTO history (h_c_id, h_c_d_id, h_c_w_id, h_amount) "
         "VALUES ($1, $2, $3, $4)",                                           {c, d, w, amount},
         4}
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(steps); i++)
        t->run(&steps[i]);
}

/* Of one district's oldest order. */
static void
delivery(struct tpcc *t, long w, long d)
{
    struct tpcc_statement oldest = {
        "SELECT coalesce(min(no_o_id), 0) FROM new_order WHERE no_w_id = $1 "
        "AND no_d_id = $2",
        {w, d},
        2
    };
    long o = t->run(&oldest);
    if (o == 0)
        return;
    struct tpcc_statement steps[] = {
        {"DELETE FROM new_order WHERE no_w_id = $1 AND no_d_id = $2 AND "
         "no_o_id = $3",                  {w, d, o},
         3},
        {"UPDATE orders SET o_carrier_id = $1 WHERE o_w_id = $2 AND o_d_id = "
         "$3 AND o_id = $4",              {one_of(t, 10), w, d, o},
         4},
        {"UPDATE order_line SET ol_delivered = true WHERE ol_w_id = $1 AND "
         "ol_d_id = $2 AND ol_o_id = $3", {w, d, o},
         3},
        {"UPDATE customer SET c_balance = c_balance + 10 FROM orders WHERE "
         "c_w_id = $1 AND c_d_id = $2 AND o_w_id = $1 AND o_d_id = $2 AND "
         "o_id = $3 AND c_id = o_c_id",   {w, d, o},
         3}
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(steps); i++)
        t->run(&steps[i]);
}

void
tpcc_transaction(struct tpcc *t)
{
    long w = one_of(t, WAREHOUSES), d = one_of(t, DISTRICTS),
         c = one_of(t, CUSTOMERS), which = one_of(t, 92);
    if (which <= 45)
        new_order(t, w, d, c);
    else if (which <= 88)
        payment(t, w, d, c);
    else
        delivery(t, w, d);
}
