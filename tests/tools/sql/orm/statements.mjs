// Statements as five query builders write them, run here, not written down:
// knex, Kysely, Drizzle, Sequelize, TypeORM. Each with a NUL behind it.
//
//   node statements.mjs [rounds]
//
// Every builder gets the same kinds of questions (filters, joins, aggregates,
// pages, subqueries, windows, writes) with tables, columns and values drawn
// from a fixed seed.
import knexModule from 'knex'
import * as K from 'kysely'
import * as D from 'drizzle-orm'
import * as P from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Sequelize, DataTypes, Op } from 'sequelize'
import 'reflect-metadata'
import * as T from 'typeorm'

let seed = 12345
const random = n => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return Math.floor((seed / 2147483648) * n)
}
const pick = list => list[random(list.length)]
const value = () => pick([1, 42, -7, 'x', "it's", true, null, 3.5])
const number = () => random(1000)
const rounds = Number(process.argv[2] ?? 60)
const out = new Set()
const counts = {}
let builder
const emit = sql => {
    if (!sql || out.has(sql)) return
    out.add(sql)
    counts[builder] = (counts[builder] ?? 0) + 1
}

// ------------------------------------------------------------- knex

const knex = knexModule({ client: 'pg' })
const tables = ['users', 'orders', 'Items', 'app.events']
const columns = ['id', 'user_id', 'name', 'createdAt', 'total', 'kind']
const kx = q => emit(q.toSQL().toNative().sql)

function knexRound() {
    builder = 'knex'
    const t = pick(tables), u = pick(tables), a = pick(columns), b = pick(columns)
    const k = knex
    kx(k(t).where(a, number()))
    kx(k(t).select(a, b).where({ [a]: number(), [b]: 'v' }).orderBy(b, 'desc').limit(10).offset(20))
    kx(k(t).whereIn(a, [1, 2, number()]).orWhereNotNull(b).whereNot(a, 3))
    kx(k(t).whereBetween(a, [1, number()]).andWhereRaw('?? > ?', [b, number()]))
    kx(k(`${t} as a`).leftJoin(`${u} as b`, `a.${a}`, `b.${b}`).select('a.*', `b.${b} as other`))
    kx(k(t).join(u, function () { this.on(`${t}.${a}`, '=', `${u}.${b}`).andOnVal(`${u}.${a}`, '=', number()) }))
    kx(k(t).count('* as n').sum({ s: a }).groupBy(b).havingRaw('count(*) > ?', [number()]))
    kx(k(t).countDistinct(a).min(b).max(b).first())
    kx(k(t).whereExists(k(u).select(k.raw('1')).whereRaw('??.?? = ??.??', [u, a, t, b])))
    kx(k(t).whereIn(a, k(u).select(b).where(a, value())))
    kx(k.with('c', k(t).where(a, number())).select('*').from('c').where(b, 'x'))
    kx(k.withRecursive('r', q => q.select(a).from(t).unionAll(p => p.select(`x.${a}`).from(`${u} as x`).join('r', 'r.id', `x.${b}`))).select('*').from('r'))
    kx(k(t).select(a).union([k(u).select(a)]).orderBy(a))
    kx(k(t).distinctOn(a).select(a, b).orderBy([{ column: a }, { column: b, order: 'desc', nulls: 'last' }]))
    kx(k(t).select(a).rowNumber('rn', q => q.partitionBy(b).orderBy(a)))
    kx(k(t).select(k.raw('coalesce(??, ?)', [a, 'none'])).whereILike(b, '%q%'))
    kx(k(t).whereJsonPath('data', '$.a', '=', number()))
    kx(k(t).whereJsonObject('data', { a: number() }).whereJsonSupersetOf('tags', ['x']))
    kx(k(t).select(a).as('q') && k.select('*').from(k(t).select(a).as('q')))
    kx(k(t).forUpdate().skipLocked().where(a, 1))
    kx(k(t).insert({ [a]: number(), [b]: 'x' }).returning('id'))
    kx(k(t).insert([{ [a]: 1 }, { [a]: number() }]).onConflict(a).merge())
    kx(k(t).where(a, number()).update({ [b]: 'x' }, ['id']))
    kx(k(t).where(a, number()).increment('total', 3))
    kx(k(t).where(a, number()).del())
    kx(k(t).truncate())
}

// ------------------------------------------------------------- Kysely

const kysely = new K.Kysely({
    dialect: {
        createAdapter: () => new K.PostgresAdapter(),
        createDriver: () => new K.DummyDriver(),
        createIntrospector: db => new K.PostgresIntrospector(db),
        createQueryCompiler: () => new K.PostgresQueryCompiler(),
    },
})
const ky = q => emit(q.compile().sql)

function kyselyRound() {
    builder = 'kysely'
    const t = pick(tables), u = pick(tables), a = pick(columns), b = pick(columns)
    const { fn } = kysely, sql = K.sql
    ky(kysely.selectFrom(t).selectAll().where(a, '=', number()))
    ky(kysely.selectFrom(`${t} as x`).innerJoin(`${u} as y`, `x.${a}`, `y.${b}`).select([`x.${a}`, `y.${b} as other`]).where(`y.${a}`, 'in', [1, 2, number()]))
    ky(kysely.selectFrom(t).select([a, fn.countAll().as('n'), fn.sum(b).as('s')]).groupBy(a).having(fn.countAll(), '>', number()))
    ky(kysely.selectFrom(t).selectAll().where(e => e.or([e(a, '=', 1), e(b, 'is', null), e.and([e(a, '>', 2), e(b, 'like', 'x%')])])).orderBy(a, 'desc').limit(number()).offset(5))
    ky(kysely.selectFrom(t).select(e => [a, e.selectFrom(u).select(fn.max(b).as('m')).whereRef(`${u}.${a}`, '=', `${t}.${b}`).as('top')]))
    ky(kysely.with('c', d => d.selectFrom(t).selectAll().where(a, '=', number())).selectFrom('c').selectAll())
    ky(kysely.withRecursive('r(id)', d => d.selectFrom(t).select(a).unionAll(d.selectFrom(u).innerJoin('r', 'r.id', `${u}.${b}`).select(`${u}.${a}`))).selectFrom('r').selectAll())
    ky(kysely.selectFrom(`${t} as x`).leftJoinLateral(e => e.selectFrom(`${u} as y`).selectAll().whereRef(`y.${a}`, '=', `x.${b}`).limit(1).as('l'), j => j.onTrue()).selectAll('x'))
    ky(kysely.selectFrom(t).select(fn.agg('rank').over(o => o.partitionBy(a).orderBy(b, 'desc')).as('r')))
    ky(kysely.selectFrom(t).select(fn.count(a).filterWhere(b, '>', number()).distinct().as('n')))
    ky(kysely.selectFrom(t).select(e => e.case().when(a, '=', 1).then('one').else('more').end().as('c')))
    ky(kysely.selectFrom(t).selectAll().where(sql`${sql.ref(a)} ->> 'k' = ${'v'}`))
    ky(kysely.selectFrom(t).select(e => e.cast(a, 'integer').as('i')).distinct().union(kysely.selectFrom(u).select(sql`1`.as('i'))))
    ky(kysely.selectFrom(t).selectAll().where(e => e.exists(e.selectFrom(u).select(sql`1`.as('x')).whereRef(`${u}.${a}`, '=', `${t}.${b}`))))
    ky(kysely.selectFrom(t).select(e => e.ref('data', '->>').key('k').as('k')))
    ky(kysely.selectFrom(t).selectAll().where(e => e.between(a, 1, number())).where(e => e.not(e(b, '=', 'x'))))
    ky(kysely.selectFrom(t).selectAll().where(e => e(e.refTuple(a, b), 'in', [e.tuple(1, 2), e.tuple(3, 4)])))
    ky(kysely.selectFrom(t).selectAll().where(a, '=', e => e.fn.any(e.val([1, 2]))))
    ky(kysely.selectFrom(t).selectAll().forShare().noWait())
    ky(kysely.insertInto(t).values({ [a]: number(), [b]: 'x' }).onConflict(o => o.column(a).doUpdateSet({ [b]: 'y' })).returningAll())
    ky(kysely.updateTable(t).set({ [a]: number() }).from(u).whereRef(`${t}.${a}`, '=', `${u}.${b}`).where(`${u}.${a}`, '=', 3))
    ky(kysely.deleteFrom(t).using(u).whereRef(`${t}.${a}`, '=', `${u}.${b}`).returning(`${t}.${a}`))
    ky(kysely.mergeInto(`${t} as x`).using(`${u} as y`, `x.${a}`, `y.${b}`).whenMatched().thenDelete().whenNotMatched().thenDoNothing())
    ky(kysely.insertInto(t).columns([a]).expression(kysely.selectFrom(u).select(b)))
}

// ------------------------------------------------------------- Drizzle

const users = P.pgTable('users', { id: P.serial('id').primaryKey(), name: P.text('name'), kind: P.integer('kind'), data: P.jsonb('data'), createdAt: P.timestamp('created_at') })
const orders = P.pgSchema('shop').table('Orders', { id: P.bigint('id', { mode: 'number' }), userId: P.integer('user_id'), total: P.numeric('total'), tags: P.text('tags').array() })
const relations = { usersRelations: D.relations(users, ({ many }) => ({ orders: many(orders) })), ordersRelations: D.relations(orders, ({ one }) => ({ user: one(users, { fields: [orders.userId], references: [users.id] }) })) }
const dz = drizzle({ connection: 'postgres://x@localhost:1/x', schema: { users, orders, ...relations } })
const dr = q => emit(q.toSQL().sql)

function drizzleRound() {
    builder = 'drizzle'
    const { eq, gt, and, or, inArray, like, ilike, isNull, between, not, exists, desc, sql, count, sum, arrayContains } = D
    const col = pick([users.id, users.kind, users.name])
    dr(dz.select().from(users).where(eq(col, number())))
    dr(dz.select({ n: users.name, t: orders.total }).from(users).leftJoin(orders, eq(users.id, orders.userId)).where(and(gt(orders.total, '5'), or(isNull(users.name), like(users.name, 'a%')))).orderBy(desc(users.createdAt)).limit(random(50)).offset(10))
    dr(dz.select({ k: users.kind, n: count(), s: sum(users.id) }).from(users).groupBy(users.kind).having(gt(count(), number())))
    dr(dz.select().from(users).where(inArray(col, [1, 2, number()])))
    dr(dz.select().from(users).where(not(between(users.id, 1, number()))))
    dr(dz.select().from(users).where(exists(dz.select().from(orders).where(eq(orders.userId, users.id)))))
    const sub = dz.select({ id: orders.userId, best: sql`max(${orders.total})`.as('best') }).from(orders).groupBy(orders.userId).as('sub')
    dr(dz.select().from(users).innerJoin(sub, eq(sub.id, users.id)))
    const c = dz.$with('c').as(dz.select().from(users).where(ilike(users.name, '%x%')))
    dr(dz.with(c).select().from(c))
    dr(dz.selectDistinctOn([users.kind]).from(users).orderBy(users.kind))
    dr(dz.selectDistinct({ k: users.kind }).from(users))
    dr(dz.select({ d: sql`${users.data} -> 'a' ->> ${'k'}` }).from(users))
    dr(dz.select().from(orders).where(arrayContains(orders.tags, ['x'])))
    dr(P.union(dz.select({ id: users.id }).from(users), dz.select({ id: orders.userId }).from(orders)))
    dr(dz.query.users.findMany({ with: { orders: { limit: random(9) + 1 } }, where: eq(users.id, number()), limit: random(9) + 1 }))
    dr(dz.query.orders.findFirst({ with: { user: true }, columns: { id: true } }))
    dr(dz.select().from(users).for('update', { skipLocked: true }))
    dr(dz.insert(users).values({ name: 'x' }).onConflictDoUpdate({ target: users.id, set: { name: 'y' } }).returning())
    dr(dz.insert(users).values([{ name: 'a', kind: number() }, { name: 'b' }]).onConflictDoNothing())
    dr(dz.update(users).set({ name: 'z', kind: sql`${users.kind} + 1` }).where(eq(users.id, number())))
    dr(dz.delete(orders).where(eq(orders.userId, number())).returning({ id: orders.id }))
}

// ------------------------------------------------------------- Sequelize

async function sequelizeRounds(n) {
    const s = new Sequelize('postgres://x@localhost:1/x', { logging: false })
    const sent = []
    s.query = async sql => { sent.push(typeof sql === 'string' ? sql : sql.query); return [[], 0] }
    const User = s.define('User', { name: DataTypes.STRING, kind: DataTypes.INTEGER, data: DataTypes.JSONB, tags: DataTypes.ARRAY(DataTypes.TEXT) })
    const Order = s.define('Order', { total: DataTypes.DECIMAL, at: DataTypes.DATE }, { schema: 'shop', paranoid: true })
    User.hasMany(Order)
    Order.belongsTo(User)
    const tried = async f => { try { await f() } catch { /* no rows come back */ } }
    for (let i = 0; i < n; i++) {
        const kind = number(), limit = random(40) + 1
        await tried(() => User.findAll({ where: { kind, name: pick(['a', null, { [Op.like]: 'x%' }]) } }))
        await tried(() => User.findByPk(number()))
        await tried(() => User.findAll({ include: [{ model: Order, required: pick([true, false]), where: { total: { [Op.gt]: kind } } }], order: [['name', 'DESC']], limit, offset: 10 }))
        await tried(() => Order.findAll({ include: User, where: { [Op.or]: [{ total: { [Op.between]: [1, kind] } }, { UserId: [1, 2, kind] }] } }))
        await tried(() => User.count({ where: { kind: { [Op.in]: [1, kind] } }, distinct: true, col: 'id' }))
        await tried(() => User.findAndCountAll({ limit, include: Order }))
        await tried(() => Order.sum('total', { where: { UserId: kind } }))
        await tried(() => User.findAll({ attributes: ['kind', [s.fn('COUNT', s.col('id')), 'n'], [s.cast(s.col('kind'), 'text'), 'k']], group: ['kind'], having: s.where(s.fn('COUNT', s.col('id')), Op.gt, kind) }))
        await tried(() => User.findAll({ where: { data: { a: { b: kind } }, tags: { [Op.contains]: ['x'] } } }))
        await tried(() => User.findAll({ where: { name: { [Op.iLike]: { [Op.any]: ['a%', 'b%'] } }, id: { [Op.notIn]: s.literal('(SELECT "UserId" FROM shop."Orders")') } } }))
        await tried(() => User.findOne({ where: s.where(s.fn('lower', s.col('name')), 'x'), lock: pick([undefined, true]) }))
        await tried(() => User.create({ name: 'x', kind }))
        await tried(() => User.bulkCreate([{ name: 'x' }, { name: 'y' }], { updateOnDuplicate: ['name'] }))
        await tried(() => User.update({ name: 'y' }, { where: { kind } }))
        await tried(() => User.increment('kind', { by: 2, where: { id: kind } }))
        await tried(() => Order.destroy({ where: { UserId: kind } }))
        await tried(() => User.destroy({ where: { kind } }))
        await tried(() => User.upsert({ id: kind, name: 'z' }))
    }
    builder = 'sequelize'
    sent.forEach(emit)
}

// ------------------------------------------------------------- TypeORM

const UserEntity = new T.EntitySchema({ name: 'User', tableName: 'users', columns: { id: { type: Number, primary: true, generated: true }, name: { type: String }, kind: { type: Number, nullable: true }, at: { type: Date, createDate: true } }, relations: { orders: { type: 'one-to-many', target: 'Order', inverseSide: 'user' } } })
const OrderEntity = new T.EntitySchema({ name: 'Order', tableName: 'orders', schema: 'shop', columns: { id: { type: Number, primary: true }, total: { type: 'numeric' }, gone: { type: Date, deleteDate: true, nullable: true } }, relations: { user: { type: 'many-to-one', target: 'User', inverseSide: 'orders', joinColumn: true } } })

async function typeormRounds(n) {
    builder = 'typeorm'
    const ds = new T.DataSource({ type: 'postgres', entities: [UserEntity, OrderEntity] })
    await ds.buildMetadatas()
    const m = ds.manager, ty = q => emit(q.getQueryAndParameters()[0])
    const find = (entity, options) => ty(m.createQueryBuilder(entity, entity === 'User' ? 'User' : 'Order').setFindOptions(options))
    for (let i = 0; i < n; i++) {
        const k = number(), take = random(40) + 1
        find('User', { where: { kind: k, name: pick(['a', T.Like('x%'), T.IsNull(), T.Not('b')]) } })
        find('User', { where: [{ id: T.In([1, 2, k]) }, { kind: T.MoreThan(k) }], order: { name: 'DESC' }, take, skip: 5 })
        find('Order', { relations: { user: true }, where: { user: { kind: T.Between(1, k) } } })
        find('User', { relations: { orders: true }, select: { id: true, orders: { id: true } } })
        find('Order', { where: { total: T.Raw(a => `${a} > ${k}`) }, withDeleted: pick([true, false]) })
        const qb = () => m.createQueryBuilder('User', 'u')
        ty(qb().leftJoinAndSelect('u.orders', 'o', 'o.total > :t', { t: k }).where('u.kind = :k', { k }).orderBy('u.name', 'ASC', 'NULLS LAST'))
        ty(qb().select('u.kind', 'kind').addSelect('COUNT(*)', 'n').groupBy('u.kind').having('COUNT(*) > :n', { n: k }))
        ty(qb().where('u.id IN (:...ids)', { ids: [1, 2, k] }).andWhere(new T.Brackets(b => b.where('u.name = :a', { a: 'x' }).orWhere('u.name IS NULL'))).limit(take))
        ty(qb().where(b => 'u.id IN ' + b.subQuery().select('o.userId').from('Order', 'o').where('o.total > :t').getQuery(), { t: 1 }))
        ty(m.createQueryBuilder().select('x.kind', 'k').from(b => b.select('u.kind', 'kind').from('User', 'u'), 'x'))
        ty(qb().distinctOn(['u.kind']).orderBy('u.kind'))
        ty(qb().setLock(pick(['pessimistic_write', 'pessimistic_read'])).where('u.id = :id', { id: k }))
        ty(m.createQueryBuilder().insert().into('User').values([{ name: 'x', kind: k }, { name: 'y' }]).orIgnore())
        ty(m.createQueryBuilder().update('User').set({ name: 'z' }).where('kind = :k', { k }))
        ty(m.createQueryBuilder().delete().from('Order').where('id = :id', { id: k }))
        ty(m.createQueryBuilder().softDelete().from('Order').where('id = :id', { id: k }))
    }
}

for (let i = 0; i < rounds; i++) {
    knexRound()
    kyselyRound()
    drizzleRound()
}
await sequelizeRounds(rounds)
await typeormRounds(rounds)
process.stdout.write([...out].map(s => s + '\0').join(''))
process.stderr.write(JSON.stringify(counts) + '\n')
