// SPDX-License-Identifier: Apache-2.0
// Lets the assignors of Kafka's Java client share out partitions. Reads lines, writes a line of JSON for each round:
//   group RANGE|ROUNDROBIN|STICKY|COOPERATIVE
//   topic NAME PARTITIONS
//   member ID INSTANCE-OR-- TOPIC,TOPIC...
//   round                    what each member got becomes what it owns; topics and members stay and may be changed
//   leave ID
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

public class Assign {
  static String how;
  static Map<String, Integer> topics = new TreeMap<>();
  static Map<String, String> instances = new TreeMap<>();
  static Map<String, List<String>> wanted = new TreeMap<>();
  static Map<String, List<TopicPartition>> owned = new TreeMap<>();
  static Map<String, Integer> generations = new TreeMap<>();
  static int generation;

  static ConsumerPartitionAssignor assignor() {
    switch (how) {
      case "RANGE": return new RangeAssignor();
      case "ROUNDROBIN": return new RoundRobinAssignor();
      case "STICKY": return new StickyAssignor();
      default: return new CooperativeStickyAssignor();
    }
  }

  static String partitions(List<TopicPartition> list) {
    Map<String, Set<Integer>> byTopic = new TreeMap<>();
    for (TopicPartition p : list) byTopic.computeIfAbsent(p.topic(), t -> new TreeSet<>()).add(p.partition());
    List<String> parts = new ArrayList<>();
    byTopic.forEach((t, numbers) -> parts.add("\"" + t + "\":" + numbers));
    return "{" + String.join(",", parts) + "}";
  }

  static void round() {
    Node node = new Node(0, "localhost", 9092);
    Node[] nodes = {node};
    List<PartitionInfo> infos = new ArrayList<>();
    topics.forEach((t, n) -> {
      for (int p = 0; p < n; ++p) infos.add(new PartitionInfo(t, p, node, nodes, nodes));
    });
    Cluster cluster = new Cluster("c", List.of(node), infos, Set.of(), Set.of());
    ConsumerPartitionAssignor assignor = assignor();
    Map<String, ConsumerPartitionAssignor.Subscription> subscriptions = new TreeMap<>();
    List<String> members = new ArrayList<>();
    for (String id : wanted.keySet()) {
      List<TopicPartition> his = owned.getOrDefault(id, List.of());
      int since = generations.getOrDefault(id, -1);
      ConsumerPartitionAssignor one = assignor();
      if (since >= 0)
        one.onAssignment(new ConsumerPartitionAssignor.Assignment(his), new ConsumerGroupMetadata("g", since, id, Optional.empty()));
      ConsumerPartitionAssignor.Subscription s = new ConsumerPartitionAssignor.Subscription(
          wanted.get(id), one.subscriptionUserData(new HashSet<>(wanted.get(id))), his, since, Optional.empty());
      String instance = instances.get(id);
      if (!instance.equals("-")) s.setGroupInstanceId(Optional.of(instance));
      subscriptions.put(id, s);
      members.add("{\"id\":\"" + id + "\",\"instance\":\"" + (instance.equals("-") ? "" : instance) + "\",\"topics\":[\""
          + String.join("\",\"", wanted.get(id)) + "\"],\"owned\":" + partitions(his) + ",\"generation\":" + since + "}");
    }
    Map<String, ConsumerPartitionAssignor.Assignment> shares =
        assignor.assign(cluster, new ConsumerPartitionAssignor.GroupSubscription(subscriptions)).groupAssignment();
    List<String> got = new ArrayList<>();
    ++generation;
    for (String id : wanted.keySet()) {
      List<TopicPartition> his = new ArrayList<>(shares.get(id).partitions());
      his.sort(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
      owned.put(id, his);
      generations.put(id, generation);
      got.add("\"" + id + "\":" + partitions(his));
    }
    List<String> counts = new ArrayList<>();
    topics.forEach((t, n) -> counts.add("\"" + t + "\":" + n));
    System.out.println("{\"assignor\":\"" + how.toLowerCase() + "\",\"topics\":{" + String.join(",", counts) + "},\"members\":["
        + String.join(",", members) + "],\"shares\":{" + String.join(",", got) + "}}");
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      switch (words[0]) {
        case "group":
          how = words[1];
          topics.clear();
          instances.clear();
          wanted.clear();
          owned.clear();
          generations.clear();
          generation = 0;
          break;
        case "topic": topics.put(words[1], Integer.parseInt(words[2])); break;
        case "member":
          instances.put(words[1], words[2]);
          wanted.put(words[1], Arrays.asList(words[3].split(",")));
          break;
        case "leave":
          for (Map<String, ?> of : List.of(instances, wanted, owned, generations)) of.remove(words[1]);
          break;
        case "round": round(); break;
        default: throw new IllegalArgumentException(line);
      }
    }
  }
}
