// SPDX-License-Identifier: Apache-2.0
package nexmark;

import java.util.LinkedHashMap;
import java.util.Map;

/** The queries in Flink SQL, over the views `person`, `auction` and `bid`. */
final class Queries {
  /** A query and the columns of the table that takes its rows. */
  record Query(String columns, String select) {}

  private static final String RANKED_COUNTS = "COUNT(*), " + ranks("COUNT(*)");
  private static final String STATISTICS =
      RANKED_COUNTS
          + ", COUNT(DISTINCT bidder), " + ranks("COUNT(DISTINCT bidder)")
          + ", COUNT(DISTINCT auction), " + ranks("COUNT(DISTINCT auction)");
  private static final String STATISTICS_COLUMNS =
      counts("bids") + ", " + counts("bidders") + ", " + counts("auctions");
  private static final String DAY = "DATE_FORMAT(`dateTime`, 'yyyy-MM-dd')";
  /** Bids for an auction within its time. */
  private static final String VALID =
      " FROM auction a JOIN bid b ON b.auction = a.id WHERE b.`dateTime` BETWEEN a.`dateTime` AND a.expires ";
  private static final String BID_COLUMNS =
      "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, `dateTime` TIMESTAMP(3), extra STRING";
  private static final String BID = "auction, bidder, price, channel, url, `dateTime`, extra";

  static final Map<String, Query> ALL = new LinkedHashMap<>();

  static {
    add("q0", "auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3), extra STRING",
        "SELECT auction, bidder, price, `dateTime`, extra FROM bid");
    add("q1", "auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), `dateTime` TIMESTAMP(3), extra STRING",
        "SELECT auction, bidder, 0.908 * price, `dateTime`, extra FROM bid");
    add("q2", "auction BIGINT, price BIGINT", "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0");
    add("q3", "name STRING, city STRING, state STRING, id BIGINT",
        "SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id"
            + " WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')");
    add("q4", "id BIGINT, `final` BIGINT",
        "SELECT category, AVG(best) FROM (SELECT a.category, MAX(b.price) AS best" + VALID
            + "GROUP BY a.id, a.category) GROUP BY category");
    add("q5", "auction BIGINT, num BIGINT", q5());
    add("q7", "auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3), extra STRING",
        "SELECT b.auction, b.bidder, b.price, b.`dateTime`, b.extra FROM bid b JOIN (SELECT MAX(price) AS best,"
            + " window_end AS ends FROM " + window("TUMBLE", "bid", "INTERVAL '10' SECOND")
            + " GROUP BY window_start, window_end) w ON b.price = w.best"
            + " WHERE b.`dateTime` BETWEEN w.ends - INTERVAL '10' SECOND AND w.ends");
    add("q8", "id BIGINT, name STRING, stime TIMESTAMP(3)",
        "SELECT p.id, p.name, p.window_start FROM (SELECT id, name, window_start, window_end FROM "
            + window("TUMBLE", "person", "INTERVAL '10' SECOND") + " GROUP BY id, name, window_start, window_end) p"
            + " JOIN (SELECT seller, window_start, window_end FROM "
            + window("TUMBLE", "auction", "INTERVAL '10' SECOND") + " GROUP BY seller, window_start, window_end) s"
            + " ON p.id = s.seller AND p.window_start = s.window_start AND p.window_end = s.window_end");
    add("q9",
        "id BIGINT, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT, `dateTime` TIMESTAMP(3),"
            + " expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING, auction BIGINT, bidder BIGINT,"
            + " price BIGINT, bid_dateTime TIMESTAMP(3), bid_extra STRING",
        "SELECT id, itemName, description, initialBid, reserve, `dateTime`, expires, seller, category, extra, auction,"
            + " bidder, price, bid_time, bid_extra FROM (SELECT a.*, b.auction, b.bidder, b.price,"
            + " b.`dateTime` AS bid_time, b.extra AS bid_extra, ROW_NUMBER() OVER (PARTITION BY a.id"
            + " ORDER BY b.price DESC, b.`dateTime` ASC) AS place" + VALID + ") WHERE place <= 1");
    String perBidder = "bidder BIGINT, bid_count BIGINT, starttime TIMESTAMP(3), endtime TIMESTAMP(3)";
    add("q11", perBidder,
        "SELECT bidder, COUNT(*), window_start, window_end FROM TABLE(SESSION(TABLE bid PARTITION BY bidder,"
            + " DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY bidder, window_start, window_end");
    add("q12", perBidder,
        "SELECT bidder, COUNT(*), window_start, window_end FROM TABLE(TUMBLE(TABLE timed_bid, DESCRIPTOR(came),"
            + " INTERVAL '10' SECOND)) GROUP BY bidder, window_start, window_end");
    add("q15", "`day` STRING, " + STATISTICS_COLUMNS,
        "SELECT " + DAY + ", " + STATISTICS + " FROM bid GROUP BY " + DAY);
    add("q16", "channel STRING, `day` STRING, `minute` STRING, " + STATISTICS_COLUMNS,
        "SELECT channel, " + DAY + ", MAX(DATE_FORMAT(`dateTime`, 'HH:mm')), " + STATISTICS
            + " FROM bid GROUP BY channel, " + DAY);
    add("q17",
        "auction BIGINT, `day` STRING, " + counts("bids")
            + ", min_price BIGINT, max_price BIGINT, avg_price BIGINT, sum_price BIGINT",
        "SELECT auction, " + DAY + ", " + RANKED_COUNTS + ", MIN(price), MAX(price), AVG(price), SUM(price)"
            + " FROM bid GROUP BY auction, " + DAY);
    add("q18", BID_COLUMNS,
        "SELECT " + BID + " FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY `dateTime` DESC)"
            + " AS place FROM bid) WHERE place <= 1");
    add("q19", BID_COLUMNS + ", rank_number BIGINT",
        "SELECT " + BID + ", place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC)"
            + " AS place FROM bid) WHERE place <= 10");
    add("q20",
        "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, bid_dateTime TIMESTAMP(3),"
            + " bid_extra STRING, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT,"
            + " auction_dateTime TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT,"
            + " auction_extra STRING",
        "SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.`dateTime`, b.extra, a.itemName, a.description,"
            + " a.initialBid, a.reserve, a.`dateTime`, a.expires, a.seller, a.category, a.extra"
            + " FROM bid b JOIN auction a ON b.auction = a.id WHERE a.category = 10");
    add("q22",
        "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, dir1 STRING, dir2 STRING, dir3 STRING",
        "SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3), SPLIT_INDEX(url, '/', 4),"
            + " SPLIT_INDEX(url, '/', 5) FROM bid");
  }

  private Queries() {}

  private static void add(String name, String columns, String select) {
    ALL.put(name, new Query(columns, select));
  }

  private static String q5() {
    String counts =
        "SELECT auction, COUNT(*) AS num, window_start, window_end FROM "
            + window("HOP", "bid", "INTERVAL '2' SECOND, INTERVAL '10' SECOND")
            + " GROUP BY auction, window_start, window_end";
    return "SELECT c.auction, c.num FROM (" + counts + ") c JOIN (SELECT MAX(num) AS most, window_start, window_end FROM ("
        + counts + ") GROUP BY window_start, window_end) m"
        + " ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.num >= m.most";
  }

  private static String window(String kind, String table, String sizes) {
    return "TABLE(" + kind + "(TABLE " + table + ", DESCRIPTOR(`dateTime`), " + sizes + "))";
  }

  private static String ranks(String what) {
    return what + " FILTER (WHERE price < 10000), "
        + what + " FILTER (WHERE price >= 10000 AND price < 1000000), "
        + what + " FILTER (WHERE price >= 1000000)";
  }

  private static String counts(String of) {
    return "total_" + of + " BIGINT, rank1_" + of + " BIGINT, rank2_" + of + " BIGINT, rank3_" + of + " BIGINT";
  }
}
