// SPDX-License-Identifier: Apache-2.0
package eos;

import common.Count;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * The exactly-once jobs of bench/eos.py, in this process, over everything that is in the topic when it starts:
 *
 * <pre>EosFlink copy|window BROKERS IN OUT PARALLELISM CHECKPOINT_MS CHECKPOINT_DIRECTORY RECORDS</pre>
 *
 * Prints a line of JSON: from the building of the job to its end, which is behind its last transaction. Settings are
 * those that make it fast: objects used again, state on the heap, large batches and polls.
 */
public final class EosFlink {
  private EosFlink() {}

  private static final class Bytes implements KafkaRecordDeserializationSchema<Tuple2<byte[], byte[]>> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<byte[], byte[]>> out) {
      out.collect(Tuple2.of(record.key() == null ? new byte[0] : record.key(), record.value()));
    }

    @Override
    public TypeInformation<Tuple2<byte[], byte[]>> getProducedType() {
      return TypeInformation.of(new TypeHint<Tuple2<byte[], byte[]>>() {});
    }
  }

  private static final class KeyAndTime implements KafkaRecordDeserializationSchema<Tuple2<String, Long>> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<String, Long>> out) {
      out.collect(Tuple2.of(new String(record.key(), StandardCharsets.UTF_8), record.timestamp()));
    }

    @Override
    public TypeInformation<Tuple2<String, Long>> getProducedType() {
      return TypeInformation.of(new TypeHint<Tuple2<String, Long>>() {});
    }
  }

  private static final class Result implements WindowFunction<Long, Tuple2<byte[], byte[]>, String, TimeWindow> {
    @Override
    public void apply(String key, TimeWindow window, Iterable<Long> counts, Collector<Tuple2<byte[], byte[]>> out) {
      out.collect(
          Tuple2.of(
              key.getBytes(StandardCharsets.UTF_8),
              Long.toString(counts.iterator().next()).getBytes(StandardCharsets.UTF_8)));
    }
  }

  private static <T> KafkaSource<T> source(
      String brokers, String topic, KafkaRecordDeserializationSchema<T> format) {
    return KafkaSource.<T>builder()
        .setBootstrapServers(brokers)
        .setTopics(topic)
        .setGroupId("flink-" + topic)
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setDeserializer(format)
        .setProperty("max.poll.records", "5000")
        .setProperty("isolation.level", "read_committed")
        .build();
  }

  private static KafkaSink<Tuple2<byte[], byte[]>> sink(String brokers, String topic) {
    KafkaRecordSerializationSchema<Tuple2<byte[], byte[]>> format =
        (record, context, time) ->
            new ProducerRecord<>(topic, record.f0.length == 0 ? null : record.f0, record.f1);
    return KafkaSink.<Tuple2<byte[], byte[]>>builder()
        .setBootstrapServers(brokers)
        .setRecordSerializer(format)
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .setTransactionalIdPrefix("flink-" + topic)
        .setProperty("transaction.timeout.ms", "600000")
        .setProperty("linger.ms", "20")
        .setProperty("batch.size", "1000000")
        .setProperty("buffer.memory", "134217728")
        .build();
  }

  public static void main(String[] args) throws Exception {
    String job = args[0], brokers = args[1], in = args[2], out = args[3];
    long records = Long.parseLong(args[7]);
    com.sun.management.OperatingSystemMXBean system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long began = System.nanoTime();
    Configuration settings = new Configuration();
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("taskmanager.memory.network.max", "256m");
    settings.setString("execution.checkpointing.dir", "file://" + args[6]);
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(args[4]), settings);
    env.enableCheckpointing(Long.parseLong(args[5]));
    if (job.equals("copy")) {
      env.fromSource(source(brokers, in, new Bytes()), WatermarkStrategy.noWatermarks(), "in")
          .sinkTo(sink(brokers, out));
    } else {
      env.fromSource(
              source(brokers, in, new KeyAndTime()),
              WatermarkStrategy.<Tuple2<String, Long>>forBoundedOutOfOrderness(Duration.ofSeconds(1))
                  .withTimestampAssigner((record, time) -> record.f1),
              "in")
          .keyBy(record -> record.f0)
          .window(TumblingEventTimeWindows.of(Duration.ofSeconds(1)))
          .aggregate(new Count<>(), new Result())
          .sinkTo(sink(brokers, out));
    }
    env.execute(job);
    double seconds = (System.nanoTime() - began) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "{\"records\":%d,\"seconds\":%.3f,\"records_per_second\":%.0f,\"cpu_ns_per_record\":%.1f}%n",
        records, seconds, records / seconds, (double) (system.getProcessCpuTime() - cpu) / records);
    System.exit(0);
  }
}
