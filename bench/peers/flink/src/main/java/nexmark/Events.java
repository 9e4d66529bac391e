// SPDX-License-Identifier: Apache-2.0
package nexmark;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.DataType;

/** The events of a file, in memory, as rows of Flink's own form: nothing has to be converted. */
final class Events implements GeneratorFunction<Long, RowData> {
  private static final String[] PERSON = {
    "id:n", "name", "emailAddress", "creditCard", "city", "state", "dateTime:t", "extra"
  };
  private static final String[] AUCTION = {
    "id:n", "itemName", "description", "initialBid:n", "reserve:n", "dateTime:t", "expires:t", "seller:n",
    "category:n", "extra"
  };
  private static final String[] BID = {
    "auction:n", "bidder:n", "price:n", "channel", "url", "dateTime:t", "extra"
  };

  private static final List<RowData> rows = new ArrayList<>();
  /** When the first event was asked for, and the CPU time used by then; 0 before. */
  static volatile long firstNanos;
  static volatile long firstCpu;

  static int load(String path) throws IOException {
    ObjectMapper json = new ObjectMapper();
    try (BufferedReader lines = Files.newBufferedReader(Path.of(path))) {
      for (String line; (line = lines.readLine()) != null; ) {
        JsonNode event = json.readTree(line);
        JsonNode person = event.get("person"), auction = event.get("auction"), bid = event.get("bid");
        GenericRowData row = new GenericRowData(4);
        row.setField(0, person == null ? null : fields(person, PERSON));
        row.setField(1, auction == null ? null : fields(auction, AUCTION));
        row.setField(2, bid == null ? null : fields(bid, BID));
        row.setField(3, time((person != null ? person : auction != null ? auction : bid).get("dateTime")));
        rows.add(row);
      }
    }
    return rows.size();
  }

  static DataType type() {
    return DataTypes.ROW(
            DataTypes.FIELD("person", fieldsType(PERSON)),
            DataTypes.FIELD("auction", fieldsType(AUCTION)),
            DataTypes.FIELD("bid", fieldsType(BID)),
            DataTypes.FIELD("dateTime", DataTypes.TIMESTAMP(3)))
        .notNull();
  }

  /** The columns of a Kafka table. */
  static String columns() {
    return "person " + fieldsType(PERSON) + ", auction " + fieldsType(AUCTION) + ", bid " + fieldsType(BID);
  }

  @Override
  public RowData map(Long index) {
    if (firstNanos == 0) {
      firstCpu = NexmarkFlink.cpuNanos();
      firstNanos = System.nanoTime();
    }
    return rows.get(index.intValue());
  }

  private static DataType fieldsType(String[] names) {
    DataTypes.Field[] fields = new DataTypes.Field[names.length];
    for (int i = 0; i < names.length; ++i) {
      String[] part = names[i].split(":");
      fields[i] =
          DataTypes.FIELD(
              part[0],
              part.length == 1
                  ? DataTypes.STRING()
                  : part[1].equals("n") ? DataTypes.BIGINT() : DataTypes.TIMESTAMP(3));
    }
    return DataTypes.ROW(fields);
  }

  private static GenericRowData fields(JsonNode event, String[] names) {
    GenericRowData row = new GenericRowData(names.length);
    for (int i = 0; i < names.length; ++i) {
      String[] part = names[i].split(":");
      JsonNode value = event.get(part[0]);
      row.setField(
          i,
          part.length == 1
              ? StringData.fromString(value.asText())
              : part[1].equals("n") ? (Object) value.asLong() : time(value));
    }
    return row;
  }

  private static TimestampData time(JsonNode value) {
    return TimestampData.fromTimestamp(Timestamp.valueOf(value.asText()));
  }
}
