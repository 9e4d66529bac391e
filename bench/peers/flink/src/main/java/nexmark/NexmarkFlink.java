// SPDX-License-Identifier: Apache-2.0
package nexmark;

import java.lang.management.ManagementFactory;
import java.util.Locale;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.logical.RowType;

/**
 * Runs Nexmark queries in Flink SQL, in this process, and prints a line of JSON for each:
 *
 * <pre>NexmarkFlink memory FILE ROUNDS QUERY...              events read into memory before the clock starts
 * NexmarkFlink kafka BROKERS TOPIC EVENTS ROUNDS QUERY...</pre>
 *
 * Rows go to a black hole. Settings are those that make Flink fast: objects used again, mini-batches as in the
 * benchmark's own configuration, state on the heap, no checkpoints. Of the rounds, which warm the JIT up, the last counts.
 */
public final class NexmarkFlink {
  private NexmarkFlink() {}

  static long cpuNanos() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static StreamExecutionEnvironment environment() {
    Configuration settings = new Configuration();
    settings.setString("parallelism.default", "1");
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("table.exec.mini-batch.enabled", "true");
    settings.setString("table.exec.mini-batch.allow-latency", "2 s");
    settings.setString("table.exec.mini-batch.size", "50000");
    settings.setString("table.optimizer.distinct-agg.split.enabled", "true");
    settings.setString("taskmanager.memory.managed.size", "256m");
    settings.setString("table.local-time-zone", "UTC");
    return StreamExecutionEnvironment.getExecutionEnvironment(settings);
  }

  private static void eventsFromMemory(StreamTableEnvironment tables, StreamExecutionEnvironment env, long count) {
    InternalTypeInfo<RowData> type = InternalTypeInfo.of((RowType) Events.type().getLogicalType());
    DataStream<RowData> events =
        env.fromSource(
            new DataGeneratorSource<>(new Events(), count, type), WatermarkStrategy.noWatermarks(), "events", type);
    Schema schema =
        Schema.newBuilder()
            .fromRowDataType(Events.type())
            .watermark("dateTime", "`dateTime` - INTERVAL '4' SECOND")
            .build();
    tables.createTemporaryView("events", tables.fromDataStream(events, schema));
  }

  private static void eventsFromKafka(StreamTableEnvironment tables, String brokers, String topic) {
    tables.executeSql(
        "CREATE TEMPORARY TABLE events (" + Events.columns()
            + ", `dateTime` AS CASE WHEN bid IS NOT NULL THEN bid.`dateTime` WHEN auction IS NOT NULL"
            + " THEN auction.`dateTime` ELSE person.`dateTime` END,"
            + " WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND) WITH ('connector' = 'kafka',"
            + " 'topic' = '" + topic + "', 'properties.bootstrap.servers' = '" + brokers + "',"
            + " 'properties.group.id' = 'flink-nexmark', 'scan.startup.mode' = 'earliest-offset',"
            + " 'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL')");
  }

  private static void views(StreamTableEnvironment tables) {
    tables.executeSql(
        "CREATE TEMPORARY VIEW person AS SELECT person.id, person.name, person.emailAddress, person.creditCard,"
            + " person.city, person.state, `dateTime`, person.extra FROM events WHERE person IS NOT NULL");
    tables.executeSql(
        "CREATE TEMPORARY VIEW auction AS SELECT auction.id, auction.itemName, auction.description,"
            + " auction.initialBid, auction.reserve, `dateTime`, auction.expires, auction.seller, auction.category,"
            + " auction.extra FROM events WHERE auction IS NOT NULL");
    tables.executeSql(
        "CREATE TEMPORARY VIEW bid AS SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, `dateTime`,"
            + " bid.extra FROM events WHERE bid IS NOT NULL");
    tables.executeSql("CREATE TEMPORARY VIEW timed_bid AS SELECT *, PROCTIME() AS came FROM bid");
  }

  public static void main(String[] args) throws Exception {
    boolean kafka = args[0].equals("kafka");
    int next = 1;
    String brokers = kafka ? args[next++] : null;
    String topic = kafka ? args[next++] : null;
    long count = kafka ? Long.parseLong(args[next++]) : Events.load(args[next++]);
    int rounds = Integer.parseInt(args[next++]);
    for (; next < args.length; ++next) {
      Queries.Query query = Queries.ALL.get(args[next]);
      for (int round = 0; round < rounds; ++round) {
        StreamExecutionEnvironment env = environment();
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        if (kafka) {
          eventsFromKafka(tables, brokers, topic);
        } else {
          eventsFromMemory(tables, env, count);
        }
        views(tables);
        tables.executeSql("CREATE TEMPORARY TABLE sink (" + query.columns() + ") WITH ('connector' = 'blackhole')");
        Events.firstNanos = 0;
        long cpu = cpuNanos();
        TableResult running = tables.executeSql("INSERT INTO sink " + query.select());
        long runtimeMs = running.getJobClient().get().getJobExecutionResult().get().getNetRuntime();
        double seconds = kafka ? runtimeMs / 1e3 : (System.nanoTime() - Events.firstNanos) / 1e9;
        double used = cpuNanos() - (kafka ? cpu : Events.firstCpu);
        if (round + 1 < rounds) continue;
        System.out.printf(
            Locale.ROOT,
            "{\"query\":\"%s\",\"events\":%d,\"seconds\":%.6f,\"records_per_second\":%.0f,\"cpu_ns_per_record\":%.2f}%n",
            args[next], count, seconds, count / seconds, used / count);
        System.out.flush();
      }
    }
    System.exit(0);
  }
}
