// SPDX-License-Identifier: Apache-2.0
package engine;

import common.Count;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.co.ProcessJoinFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.WindowAssigner;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * What bench/engine_bench.cc does, in Flink's DataStream API, in this process:
 *
 * <pre>EngineFlink map|window|hopping|session|process|interval RECORDS PARALLELISM ROUNDS</pre>
 *
 * Prints a line of JSON for the last of the rounds, which warm the JIT up. `sum` is of the results, to see that they are
 * all there. Settings are those that make it fast: objects used again, state on the heap, no checkpoints.
 */
public final class EngineFlink {
  private EngineFlink() {}

  private static final LongAdder SUM = new LongAdder();

  private static long mix(long i) {
    long z = i + 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /** What it counts is added up, to see that it is all there. */
  private static final class SummedCount extends Count<Long> {
    @Override
    public Long getResult(Long count) {
      SUM.add(count);
      return count;
    }
  }

  private static final class Running extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private transient ValueState<Long> seen;

    @Override
    public void open(OpenContext context) {
      seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Types.LONG));
    }

    @Override
    public void processElement(Tuple2<Long, Long> click, Context context, Collector<Tuple2<Long, Long>> out)
        throws Exception {
      Long before = seen.value();
      long now = before == null ? 1 : before + 1;
      seen.update(now);
      if (now % 1000 == 0) {
        out.collect(click);
      }
    }
  }

  private static final class Sum extends ProcessJoinFunction<Tuple2<Long, Long>, Tuple2<Long, Long>, Long> {
    @Override
    public void processElement(Tuple2<Long, Long> a, Tuple2<Long, Long> b, Context context, Collector<Long> out) {
      out.collect(a.f1 + b.f1);
    }
  }

  private static KeyedStream<Tuple2<Long, Long>, Long> clicks(StreamExecutionEnvironment env, long count) {
    TypeInformation<Tuple2<Long, Long>> type = TypeInformation.of(new TypeHint<Tuple2<Long, Long>>() {});
    KeySelector<Tuple2<Long, Long>, Long> user = click -> click.f0;
    return env.fromSequence(0, count - 1)
        .map(i -> Tuple2.of(Long.remainderUnsigned(mix(i), 100_000), i / 1000))
        .returns(type)
        .assignTimestampsAndWatermarks(
            WatermarkStrategy.<Tuple2<Long, Long>>forMonotonousTimestamps()
                .withTimestampAssigner((click, time) -> click.f1))
        .keyBy(user, Types.LONG);
  }

  private static DataStream<?> windows(
      StreamExecutionEnvironment env, long count, WindowAssigner<Object, TimeWindow> assigner) {
    return clicks(env, count).window(assigner).aggregate(new SummedCount());
  }

  private static DataStream<?> job(StreamExecutionEnvironment env, String name, long count) {
    switch (name) {
      case "map":
        return env.fromSequence(0, count - 1).map(i -> i * 3 + 1).filter(i -> (i & 7) != 0).map(i -> i ^ 0x5bd1e995L);
      case "window":
        return windows(env, count, TumblingEventTimeWindows.of(Duration.ofSeconds(1)));
      case "hopping":
        return windows(env, count, SlidingEventTimeWindows.of(Duration.ofSeconds(60), Duration.ofSeconds(1)));
      case "session":
        return windows(env, count, (WindowAssigner) EventTimeSessionWindows.withGap(Duration.ofMillis(50)));
      case "process":
        return clicks(env, count).process(new Running());
      case "interval":
        return clicks(env, count / 2)
            .intervalJoin(clicks(env, count / 2))
            .between(Duration.ofMillis(-100), Duration.ofMillis(100))
            .process(new Sum());
      default:
        throw new IllegalArgumentException(name);
    }
  }

  public static void main(String[] args) throws Exception {
    long records = Long.parseLong(args[1]);
    Configuration settings = new Configuration();
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("taskmanager.memory.network.max", "256m");
    com.sun.management.OperatingSystemMXBean system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    for (int left = Integer.parseInt(args[3]); left > 0; --left) {
      StreamExecutionEnvironment env =
          StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(args[2]), settings);
      job(env, args[0], records).sinkTo(new DiscardingSink<>());
      SUM.reset();
      long cpu = system.getProcessCpuTime();
      long began = System.nanoTime();
      env.execute(args[0]);
      double seconds = (System.nanoTime() - began) / 1e9;
      if (left == 1) {
        System.out.printf(
            Locale.ROOT,
            "{\"records\":%d,\"seconds\":%.3f,\"records_per_second\":%.0f,\"cpu_ns_per_record\":%.1f,\"sum\":%d}%n",
            records, seconds, records / seconds, (double) (system.getProcessCpuTime() - cpu) / records, SUM.sum());
      }
    }
    System.exit(0);
  }
}
