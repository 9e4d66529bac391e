# SPDX-License-Identifier: Apache-2.0
"""What the queries must give: SQL of their own over the same events, in SQLite.

Events lie in the tables `bid`, `auction` and `person`, one row each, with two columns more than the event has: `n`, its
place in the input, and `wm`, the watermark when it came (the largest time before it, less four seconds). Times are
milliseconds. A window [start, end) has closed for an event when end - 1 <= wm: the event is late.
"""
import json
import sqlite3

COLUMNS = {
    "bid": ["auction", "bidder", "price", "channel", "url", "dateTime", "extra"],
    "auction": ["id", "itemName", "description", "initialBid", "reserve", "dateTime", "expires", "seller", "category",
                "extra"],
    "person": ["id", "name", "emailAddress", "creditCard", "city", "state", "dateTime", "extra"],
}
RANKS = [("rank1", "price < 10000"), ("rank2", "price between 10000 and 999999"), ("rank3", "price > 999999")]
DAY = "strftime('%Y-%m-%d', dateTime / 1000, 'unixepoch')"
MINUTE = "strftime('%H:%M', dateTime / 1000, 'unixepoch')"


def by_rank(what, suffix):
    """Columns total_..., rank1_... of an aggregate over all bids and over those of a rank."""
    ranked = [f"{what} filter (where {test}) as {rank}_{suffix}" for rank, test in RANKS]
    return ", ".join([f"{what} as total_{suffix}"] + ranked)


STATISTICS = ", ".join([by_rank("count(*)", "bids"), by_rank("count(distinct bidder)", "bidders"),
                        by_rank("count(distinct auction)", "auctions")])

# Each bid in each hopping window (10 s, every 2 s) that had not closed, with the counts by auction.
HOPS = """
    with recursive hop(k) as (select 0 union all select k + 1 from hop where k < 4),
    counts as (
        select auction, dateTime / 2000 * 2000 - k * 2000 as start, count(*) as num from bid, hop
        where start + 10000 - 1 > wm group by auction, start)
"""
# Bids within their auction's time.
VALID = """
    from auction a join bid b on b.auction = a.id and b.dateTime >= a.dateTime and b.dateTime <= a.expires
"""

QUERIES = {
    "q0": "select auction, bidder, price, dateTime, extra from bid",
    "q1": "select auction, bidder, price * 908 as price, dateTime, extra from bid",
    "q2": "select auction, price from bid where auction % 123 = 0",
    "q3": """select name, city, state, auction.id as id from person join auction on seller = person.id
             where category = 10 and state in ('OR', 'ID', 'CA')""",
    "q4": f"""select category as id, cast(sum(price) / count(*) as integer) as final
              from (select category, max(price) as price {VALID} group by a.id) group by category""",
    "q5": HOPS + """select auction, num from counts
                    join (select start, max(num) as most from counts group by start) using (start) where num = most""",
    # The highest price of [start, start + 10 s); bids are compared with it up to and including the end.
    "q7": """with highest as (select dateTime / 10000 * 10000 as start, max(price) as price from bid
                              where dateTime / 10000 * 10000 + 9999 > wm group by start)
             select auction, bidder, b.price as price, dateTime, extra from bid b join highest h
             on b.price = h.price and dateTime between start and start + 10000
             where case dateTime when start + 10000 then start + 10000 > wm else start + 9999 > wm end""",
    "q8": """select p.id as id, name, p.start as stime
             from (select distinct id, name, dateTime / 10000 * 10000 as start from person
                   where dateTime / 10000 * 10000 + 9999 > wm) p
             join (select distinct seller, dateTime / 10000 * 10000 as start from auction
                   where dateTime / 10000 * 10000 + 9999 > wm) s on p.id = s.seller and p.start = s.start""",
    "q9": f"""select {', '.join(COLUMNS['auction'])}, auction, bidder, price, bid_dateTime, bid_extra from (
                select a.*, b.auction, b.bidder, b.price, b.dateTime as bid_dateTime, b.extra as bid_extra,
                       row_number() over (partition by a.id order by b.price desc, b.dateTime, b.n) as place {VALID})
              where place = 1""",
    # A session goes on while the next bid comes within ten seconds.
    "q11": """select bidder, count(*) as bid_count, min(dateTime) as starttime, max(dateTime) + 10000 as endtime from (
                select bidder, dateTime, sum(begins) over (partition by bidder order by dateTime, n) as number from (
                  select bidder, dateTime, n, coalesce(dateTime - lag(dateTime) over
                         (partition by bidder order by dateTime, n) > 10000, 1) as begins from bid))
              group by bidder, number""",
    # By the clock: only what all windows of a bidder hold together is known.
    "q12": "select bidder, count(*) as bid_count from bid group by bidder",
    "q15": f"select {DAY} as day, {STATISTICS} from bid group by day",
    "q16": f"select channel, {DAY} as day, max({MINUTE}) as minute, {STATISTICS} from bid group by channel, day",
    "q17": f"""select auction, {DAY} as day, {by_rank('count(*)', 'bids')},
                      min(price) as min_price, max(price) as max_price, sum(price) / count(*) as avg_price,
                      sum(price) as sum_price from bid group by auction, day""",
    "q18": f"""select {', '.join(COLUMNS['bid'])} from (
                 select *, row_number() over (partition by bidder, auction order by dateTime desc, n desc) as place
                 from bid)
               where place = 1""",
    "q19": f"""select {', '.join(COLUMNS['bid'])}, rank_number from (
                 select *, row_number() over (partition by auction order by price desc, n) as rank_number from bid)
               where rank_number <= 10""",
    "q20": """select auction, bidder, price, channel, url, b.dateTime as bid_dateTime, b.extra as bid_extra, itemName,
                     description, initialBid, reserve, a.dateTime as auction_dateTime, expires, seller, category,
                     a.extra as auction_extra
              from bid b join auction a on a.id = b.auction where category = 10""",
    "q22": """select auction, bidder, price, channel, part(url, 3) as dir1, part(url, 4) as dir2, part(url, 5) as dir3
              from bid""",
}
# Queries that change their rows: what identifies a row. The last one counts.
KEYS = {"q4": ["id"], "q9": ["id"], "q15": ["day"], "q16": ["channel", "day"], "q17": ["auction", "day"],
        "q18": ["auction", "bidder"], "q19": ["auction", "rank_number"]}
# Windows and their lateness; the others take what comes at any time. (A late bid may yet join a session: not q11.)
WINDOWED = ["q5", "q7", "q8"]


def part(url, index):
    parts = url.split("/")
    return parts[index] if index < len(parts) else None


def load(path, to_ms):
    """A database with the events of a file."""
    db = sqlite3.connect(":memory:")
    db.create_function("part", 2, part, deterministic=True)
    for kind, columns in COLUMNS.items():
        db.execute(f"create table {kind} ({', '.join(columns)}, n, wm)")
    newest = None
    rows = {kind: [] for kind in COLUMNS}
    with open(path, encoding="utf-8") as lines:
        for n, line in enumerate(lines):
            (kind, fields), = json.loads(line).items()
            for name in ("dateTime", "expires"):
                if name in fields:
                    fields[name] = to_ms(fields[name])
            watermark = -(1 << 62) if newest is None else newest - 4000
            rows[kind].append([fields[c] for c in COLUMNS[kind]] + [n, watermark])
            newest = max(fields["dateTime"], newest if newest is not None else fields["dateTime"])
    for kind, columns in COLUMNS.items():
        db.executemany(f"insert into {kind} values ({', '.join('?' * (len(columns) + 2))})", rows[kind])
    db.execute("create index bids on bid(auction)")
    db.execute("create index auctions on auction(id)")
    db.execute("create index people on person(id)")
    return db


def answer(db, query):
    """(column names, rows)"""
    cursor = db.execute(QUERIES[query])
    return [c[0] for c in cursor.description], cursor.fetchall()
