#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/reference/errors.md from the code: kinds, what to do, and Kafka's codes.

  scripts/error_reference.py           writes the page
  scripts/error_reference.py --check   says whether it is current, and whether every advice is about a code that exists
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "errors.md"

KINDS = {
    "invalid_argument": "correct the call, setting or name that the message tells",
    "not_found": "look at the name; a topic that was just made may take a moment (`admin.await_topics`)",
    "already_exists": "go on if it is what you wanted",
    "io": "retriable on connections: check the address and that the broker runs; of files: see the message",
    "timeout": "retriable; what was asked may have happened all the same (of records: `delivery::outcome`)",
    "closed": "retriable of a connection; of a client: it was closed, make another",
    "corrupt": "never retried: the bytes of a batch or answer break their format or checksum; compare with another reader",
    "unsupported": "the broker is too old for it, or it is not built in; the message tells which",
    "kafka": "the broker answered a code: see the table below",
    "data_loss": "records below the position were removed: decide where to go on (`seek`, `auto.offset.reset`)",
    "user": "a function or record of the application failed",
    "cancelled": "it was stopped on request; records that were not acknowledged are told one by one",
    "exhausted": "retriable when it is memory (`buffer.memory`, `max.block.ms`); else raise the bound that is told",
    "internal": "a bug of Penstock: please report it with the message",
    "authentication": "correct the certificate, password or token; trying again alone does not help",
}

ADVICE = {
    "UNKNOWN_SERVER_ERROR": "look into the broker's log",
    "OFFSET_OUT_OF_RANGE": "handled by auto.offset.reset; with `none` it becomes data_loss",
    "CORRUPT_MESSAGE": "the batch was damaged on its way; sent again",
    "UNKNOWN_TOPIC_OR_PARTITION": "the topic may be new: metadata are asked again; after some seconds it is an error",
    "MESSAGE_TOO_LARGE": "lower batch.size and max.request.size, or raise the topic's max.message.bytes",
    "RECORD_LIST_TOO_LARGE": "lower batch.size, or raise the topic's segment.bytes",
    "NOT_LEADER_OR_FOLLOWER": "the leader moved: metadata are asked and the request goes there",
    "NOT_ENOUGH_REPLICAS": "fewer replicas are in sync than min.insync.replicas; tried until delivery.timeout.ms",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "as NOT_ENOUGH_REPLICAS; without idempotence the retry may make duplicates",
    "INVALID_REQUIRED_ACKS": "set acks to all, 1 or 0",
    "REQUEST_TIMED_OUT": "tried again; the outcome of the attempt is unknown",
    "COORDINATOR_LOAD_IN_PROGRESS": "waited for: the coordinator reads its log",
    "COORDINATOR_NOT_AVAILABLE": "waited for: the coordinator's partition has no leader yet",
    "NOT_COORDINATOR": "the coordinator moved: it is looked up again",
    "ILLEGAL_GENERATION": "the group went on without this member: poll again, do not commit old positions",
    "UNKNOWN_MEMBER_ID": "the group put this member out (session.timeout.ms, max.poll.interval.ms): it joins again",
    "INCONSISTENT_GROUP_PROTOCOL": "the members of a group must have one partition.assignment.strategy in common",
    "INVALID_GROUP_ID": "group.id is empty or no name",
    "INVALID_SESSION_TIMEOUT": "session.timeout.ms lies outside the broker's group.min/max.session.timeout.ms",
    "REBALANCE_IN_PROGRESS": "poll again: the group is sharing its partitions out",
    "GROUP_MAX_SIZE_REACHED": "the group has group.max.size members",
    "FENCED_INSTANCE_ID": "another member has this group.instance.id: give each its own",
    "UNRELEASED_INSTANCE_ID": "another member has this group.instance.id and has not left",
    "FENCED_MEMBER_EPOCH": "the group put this member out: it joins again",
    "UNSUPPORTED_ASSIGNOR": "group.remote.assignor names none that the broker has",
    "TOPIC_AUTHORIZATION_FAILED": "an ACL for this topic is missing",
    "GROUP_AUTHORIZATION_FAILED": "an ACL for this group is missing",
    "CLUSTER_AUTHORIZATION_FAILED": "an ACL for the cluster is missing (IdempotentWrite, before Kafka 2.8)",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "an ACL for this transactional.id is missing",
    "UNSUPPORTED_SASL_MECHANISM": "the broker does not have this sasl.mechanism enabled",
    "SASL_AUTHENTICATION_FAILED": "correct sasl.username, sasl.password or the token",
    "SECURITY_DISABLED": "the broker has no authorizer",
    "UNSUPPORTED_VERSION": "the broker is too old or too new for it",
    "INVALID_CONFIG": "correct the configuration; the message has the broker's words",
    "POLICY_VIOLATION": "the cluster's policy forbids it; the message has the broker's words",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": "the topic's message.format.version is too old for it (headers, idempotence)",
    "UNSUPPORTED_COMPRESSION_TYPE": "the broker is too old for the codec (zstd: Kafka 2.1)",
    "OUT_OF_ORDER_SEQUENCE_NUMBER": "handled (a new producer epoch); told only if the broker lost acknowledged records",
    "DUPLICATE_SEQUENCE_NUMBER": "the broker has the batch: counted as persisted",
    "UNKNOWN_PRODUCER_ID": "handled (a new producer epoch) unless acknowledged records are gone",
    "INVALID_PRODUCER_EPOCH": "another producer has the transactional.id, or the transaction timed out: close this one",
    "PRODUCER_FENCED": "another producer has taken over the transactional.id: close this one",
    "INVALID_PRODUCER_ID_MAPPING": "the broker has forgotten the transactional.id: make a new producer",
    "INVALID_TXN_STATE": "make a new producer",
    "INVALID_TRANSACTION_TIMEOUT": "transaction.timeout.ms is above the broker's transaction.max.timeout.ms",
    "CONCURRENT_TRANSACTIONS": "waited for: the transaction before is being completed",
    "TRANSACTION_ABORTABLE": "abort the transaction, then begin another",
    "KAFKA_STORAGE_ERROR": "a disk of the broker failed; the leader moves",
    "FENCED_LEADER_EPOCH": "the leader changed: metadata are asked again",
    "UNKNOWN_LEADER_EPOCH": "the broker does not know of the newest leader yet: tried again",
    "THROTTLING_QUOTA_EXCEEDED": "tried again, later",
    "INVALID_RECORD": "the broker refused a record; the message tells which and why (a compacted topic wants keys)",
    "INVALID_TIMESTAMP": "the timestamp is too far from the broker's clock (message.timestamp.before/after.max.ms)",
    "INVALID_TOPIC_EXCEPTION": "the name has characters that a topic's must not have, or is an internal topic's",
    "TOPIC_ALREADY_EXISTS": "told as already_exists",
    "INVALID_PARTITIONS": "the number of partitions must be above zero and must not fall",
    "INVALID_REPLICATION_FACTOR": "the cluster has fewer brokers than that",
    "NOT_CONTROLLER": "the controller moved: it is looked up again",
    "NON_EMPTY_GROUP": "the group has members: stop them first",
    "GROUP_ID_NOT_FOUND": "told as not_found",
    "GROUP_SUBSCRIBED_TO_TOPIC": "members of the group are subscribed to the topic: stop them first",
    "UNSTABLE_OFFSET_COMMIT": "waited for: a transaction that commits these offsets is open",
    "OFFSET_METADATA_TOO_LARGE": "the text beside the offset is above offset.metadata.max.bytes",
}


def codes() -> list[tuple[int, str, str]]:
    """Number, name and what a request outside of transactions may do after it."""
    header = (ROOT / "src/wire/error_code.h").read_text()
    source = (ROOT / "src/wire/error_code.cc").read_text()
    numbers = {name: int(n) for name, n in re.findall(r"^  (\w+) = (-?\d+),$", header, re.M)}
    names = dict(re.findall(r'case error_code::(\w+):\s+return "(\w+)";', source))
    retriable = source[source.index("bool retriable("):]
    retriable = set(re.findall(r"case error_code::(\w+):", retriable[:retriable.index("default:")]))
    def recovery(name: str) -> str:
        return "abort transaction" if name == "transaction_abortable" else "retriable" if name in retriable else "fatal"

    return sorted((n, names[name], recovery(name)) for name, n in numbers.items() if n != 0)


def kinds() -> list[tuple[str, str]]:
    header = (ROOT / "include/penstock/error.h").read_text()
    body = header[header.index("enum class errc"):]
    return re.findall(r"^  (\w+),\s*///< (.*)$", body[:body.index("};")], re.M)


def page() -> str:
    lines = ["# Errors", "", "Written by `scripts/error_reference.py`; `./dev check` compares.", "",
             "Every call that may fail answers a `penstock::result`: its `error` has a kind, one sentence that names the "
             "thing (topic, partition, group, host:port), of a broker's answer Kafka's code (`kafka_code()`, and its name "
             "in the sentence), and `what_to_do()`:", "",
             "- **retriable**: the same call may succeed later. Inside, such failures were tried already until their "
             "deadline (`delivery.timeout.ms`, `default.api.timeout.ms`, `max.block.ms`).",
             "- **abort_transaction**: call `abort_transaction`, then another transaction may begin.",
             "- **fatal**: asking again gives the same answer, or the object is unusable; the sentence says which.", "",
             "Messages never hold a secret.", "", "## Kinds", "", "| kind | what happened | what to do |", "|---|---|---|"]
    lines += [f"| `{name}` | {text} | {KINDS[name]} |" for name, text in kinds()]
    lines += ["", "## Kafka's codes", "",
              "What a request outside of a transaction may do after each. Within a transaction an error that is not fatal "
              "to the producer asks for `abort_transaction`.", "",
              "| code | name | | what to do |", "|---|---|---|---|"]
    lines += [f"| {n} | {name} | {what} | {ADVICE.get(name, '')} |" for n, name, what in codes()]
    return "\n".join(lines) + "\n"


def main() -> int:
    wrong = sorted(set(ADVICE) - {name for _, name, _ in codes()})
    if wrong:
        print(f"scripts/error_reference.py: there is no code {', '.join(wrong)}", file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    print("docs/reference/errors.md is not current: scripts/error_reference.py writes it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
