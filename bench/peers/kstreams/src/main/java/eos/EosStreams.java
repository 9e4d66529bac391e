// SPDX-License-Identifier: Apache-2.0
package eos;

import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

/**
 * Copies a topic exactly once with Kafka Streams, in this process, until so many records are read:
 *
 * <pre>EosStreams BROKERS IN OUT THREADS COMMIT_MS STATE_DIRECTORY RECORDS</pre>
 *
 * Prints a line of JSON: from the first record read, without the rebalance that comes before it, to the end of the last
 * commit. CPU is of the whole time.
 */
public final class EosStreams {
  private EosStreams() {}

  public static void main(String[] args) throws Exception {
    String in = args[1], out = args[2];
    long records = Long.parseLong(args[6]);
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "kstreams-" + out);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[3]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[4]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    settings.put("auto.offset.reset", "earliest");
    settings.put("producer.linger.ms", "20");
    settings.put("producer.batch.size", "1000000");
    settings.put("consumer.max.poll.records", "5000");

    AtomicLong seen = new AtomicLong();
    AtomicLong first = new AtomicLong();
    CountDownLatch all = new CountDownLatch(1);
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .<byte[], byte[]>stream(in)
        .peek(
            (key, value) -> {
              long n = seen.incrementAndGet();
              if (n == 1) first.set(System.nanoTime());
              if (n == records) all.countDown();
            })
        .to(out);
    com.sun.management.OperatingSystemMXBean system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.start();
    all.await();
    streams.close(Duration.ofSeconds(60));
    double seconds = (System.nanoTime() - first.get()) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "{\"records\":%d,\"seconds\":%.3f,\"records_per_second\":%.0f,\"cpu_ns_per_record\":%.1f}%n",
        records, seconds, records / seconds, (double) (system.getProcessCpuTime() - cpu) / records);
    System.exit(0);
  }
}
