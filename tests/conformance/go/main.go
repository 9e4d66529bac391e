// SPDX-License-Identifier: Apache-2.0

// The franz-go client as a program, for tests/conformance/other_clients.py, which says what the commands are.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type settings struct {
	brokers, topic, codec, group, assignor string
	count                                  int
	from                                   int64
}

// Bytes in JSON: base64, or null.
type record struct {
	Partition *int32       `json:"partition"`
	Timestamp int64        `json:"timestamp"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
}

func decoded(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		panic(err)
	}
	return data
}

func codecs(name string) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[name]
}

func client(s settings, options ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(s.brokers), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		panic(err)
	}
	return c
}

func produce(ctx context.Context, s settings) error {
	c := client(s, kgo.DefaultProduceTopic(s.topic), kgo.ProducerBatchCompression(codecs(s.codec)),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		})))
	defer c.Close()
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 16<<20)
	var first error
	for input.Scan() {
		var in record
		if err := json.Unmarshal(input.Bytes(), &in); err != nil {
			return err
		}
		out := &kgo.Record{Key: decoded(in.Key), Value: decoded(in.Value)}
		if in.Partition != nil {
			out.Partition = *in.Partition
		}
		if in.Timestamp >= 0 {
			out.Timestamp = time.UnixMilli(in.Timestamp)
		}
		for _, h := range in.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: *h[0], Value: decoded(h[1])})
		}
		c.Produce(ctx, out, func(_ *kgo.Record, err error) {
			if err != nil && first == nil {
				first = err
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	return errors.Join(first, input.Err())
}

// The lines that kcat prints with -f '%p %o %T %K %S %k%s%h\n'.
func show(out *bufio.Writer, r *kgo.Record) {
	size := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	fmt.Fprintf(out, "%d %d %d %d %d ", r.Partition, r.Offset, r.Timestamp.UnixMilli(), size(r.Key), size(r.Value))
	out.Write(r.Key)
	out.Write(r.Value)
	for i, h := range r.Headers {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(h.Key + "=")
		if h.Value == nil {
			out.WriteString("NULL")
		}
		out.Write(h.Value)
	}
	out.WriteByte('\n')
}

func position(s settings) kgo.Offset {
	if s.from >= 0 {
		return kgo.NewOffset().AfterMilli(s.from)
	}
	return kgo.NewOffset().AtStart()
}

func consume(ctx context.Context, s settings) error {
	options := []kgo.Opt{kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(position(s)), kgo.FetchMaxWait(500 * time.Millisecond)}
	told := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			fmt.Fprintln(os.Stderr, what, parts[s.topic])
		}
	}
	if s.group != "" {
		balancer := map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
			"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()}[s.assignor]
		options = append(options, kgo.ConsumerGroup(s.group), kgo.Balancers(balancer), kgo.AutoCommitMarks(),
			kgo.OnPartitionsAssigned(told("assigned")), kgo.OnPartitionsLost(told("lost")),
			kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, parts map[string][]int32) {
				fmt.Fprintln(os.Stderr, "revoked", parts[s.topic])
				if err := c.CommitMarkedOffsets(ctx); err != nil {
					fmt.Fprintln(os.Stderr, "commit:", err)
				}
			}), kgo.BlockRebalanceOnPoll(), kgo.HeartbeatInterval(500*time.Millisecond), kgo.SessionTimeout(10*time.Second))
	}
	c := client(s, options...)
	defer c.CloseAllowingRebalance()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for read := 0; s.count < 0 || read < s.count; {
		fetches := c.PollRecords(ctx, 100)
		if ctx.Err() != nil {
			break
		}
		for _, failure := range fetches.Errors() {
			return fmt.Errorf("topic %s partition %d: %w", failure.Topic, failure.Partition, failure.Err)
		}
		for _, r := range fetches.Records() {
			if s.count >= 0 && read == s.count {
				break
			}
			show(out, r)
			c.MarkCommitRecords(r)
			read++
		}
		out.Flush()
		c.AllowRebalance()
	}
	if s.group == "" {
		return nil
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.CommitMarkedOffsets(ending)
}

func equal[T comparable](seen, expected T, what string) {
	if seen != expected {
		panic(fmt.Errorf("%s: expected %v, saw %v", what, expected, seen))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The life of a topic and of a group by way of the admin API.
func admin(ctx context.Context, s settings) error {
	c := client(s, kgo.DefaultProduceTopic(s.topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer c.Close()
	a := kadm.NewClient(c)
	retention := "3600000"
	made := must(a.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": &retention}, s.topic))
	equal(made.NumPartitions, 2, "partitions made")
	_, err := a.CreateTopic(ctx, 2, 1, nil, s.topic)
	equal(errors.Is(err, kerr.TopicAlreadyExists), true, "making it again")
	must(a.CreatePartitions(ctx, 1, s.topic))
	detail := must(a.ListTopics(ctx, s.topic))[s.topic]
	equal(len(detail.Partitions), 3, "partitions")
	equal(detail.ID == (kadm.TopicID{}), false, "no topic id")
	configs := must(must(a.DescribeTopicConfigs(ctx, s.topic)).On(s.topic, nil))
	for _, config := range configs.Configs {
		if config.Key == "retention.ms" {
			equal(config.MaybeValue(), retention, config.Key)
		}
	}
	size := "5000"
	altered := must(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, s.topic))
	equal(altered[0].Err, nil, "altering max.message.bytes")
	err = c.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 8000)}).FirstErr()
	equal(errors.Is(err, kerr.MessageTooLarge), true, "8000 bytes where 5000 are allowed")
	for i := range 30 {
		must(0, c.ProduceSync(ctx, &kgo.Record{Value: fmt.Appendf(nil, "%d", i)}).FirstErr())
	}
	ends := must(a.ListEndOffsets(ctx, s.topic))
	var sum int64
	var fullest kadm.ListedOffset
	ends.Each(func(o kadm.ListedOffset) {
		sum += o.Offset
		if o.Offset >= fullest.Offset {
			fullest = o
		}
	})
	equal(sum, 30, "records in all partitions")
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: s.topic, Partition: fullest.Partition, At: 1})
	equal(must(a.DeleteRecords(ctx, cut))[s.topic][fullest.Partition].LowWatermark, 1, "low watermark")
	first, _ := must(a.ListStartOffsets(ctx, s.topic)).Lookup(s.topic, fullest.Partition)
	equal(first.Offset, 1, "first offset")
	position := kadm.Offset{Topic: s.topic, Partition: fullest.Partition, At: fullest.Offset, LeaderEpoch: -1, Metadata: "a note"}
	offsets := kadm.Offsets{}
	offsets.Add(position)
	must(a.CommitOffsets(ctx, s.group, offsets))
	committed, _ := must(a.FetchOffsets(ctx, s.group)).Lookup(s.topic, fullest.Partition)
	equal(committed.At, fullest.Offset, "committed offset")
	equal(committed.Metadata, "a note", "its metadata")
	lags := must(a.Lag(ctx, s.group))
	equal(lags[s.group].State, "Empty", "state of the group")
	equal(must(a.ListGroups(ctx))[s.group].Group, s.group, "listed group")
	equal(must(a.DeleteGroups(ctx, s.group))[s.group].Err, nil, "deleting the group")
	_, listed := must(a.ListGroups(ctx))[s.group]
	equal(listed, false, "a deleted group is listed")
	equal(must(a.DeleteTopics(ctx, s.topic))[s.topic].Err, nil, "deleting the topic")
	equal(errors.Is(must(a.DeleteTopics(ctx, s.topic))[s.topic].Err, kerr.UnknownTopicOrPartition), true, "deleting it again")
	brokers := must(a.BrokerMetadata(ctx))
	equal(fmt.Sprintf("%s:%d", brokers.Brokers[0].Host, brokers.Brokers[0].Port), s.brokers, "address of the broker")
	fmt.Println("done")
	return nil
}

func run(ctx context.Context) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("%v", failure)
		}
	}()
	if len(os.Args) < 2 {
		return errors.New("a command is missing: produce, consume or admin")
	}
	var s settings
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&s.brokers, "brokers", "", "")
	flags.StringVar(&s.topic, "topic", "", "")
	flags.StringVar(&s.codec, "codec", "none", "")
	flags.StringVar(&s.group, "group", "", "")
	flags.StringVar(&s.assignor, "assignor", "range", "")
	flags.IntVar(&s.count, "count", -1, "")
	flags.Int64Var(&s.from, "from", -1, "a time in milliseconds")
	if err := flags.Parse(os.Args[2:]); err != nil {
		return err
	}
	commands := map[string]func(context.Context, settings) error{"produce": produce, "consume": consume, "admin": admin}
	command, known := commands[os.Args[1]]
	if !known {
		return fmt.Errorf("%s is none of produce, consume, admin", os.Args[1])
	}
	return command(ctx, s)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "franz-go:", strings.TrimSpace(err.Error()))
		stop()
		os.Exit(1)
	}
}
