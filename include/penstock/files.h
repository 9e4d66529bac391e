// SPDX-License-Identifier: Apache-2.0
// Files of lines, as sources and sinks: JSON lines (NDJSON), CSV, plain text.
//
//     topo.read("trades", ps::files::source{.paths = {"trades.csv"}, .skip_lines = 1}, ps::csv<trade>)
//         .assign_timestamps(&trade::at)
//         ...
//         .write("totals", ps::files::sink{.path = "totals.ndjson"}, ps::as_json);
#pragma once

#include <penstock/sink.h>
#include <penstock/source.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::files {

/// Reads the lines of files: a line without its end (\n or \r\n) is a record's value, its position in bytes
/// the record's offset. Blank lines are passed over. A file is a split, so lanes share the files; it ends
/// where it ended when the job started, whatever is appended later. Positions are not kept: a job that is
/// started again reads from the beginning (in the test driver too). Errors: errc::io, with the path.
struct source {
  std::vector<std::string> paths;
  std::size_t skip_lines = 0;  ///< at the beginning of each file: 1 for a CSV file with a header
  watermark_options watermarks{};
  /// The event time of a line in milliseconds, if it can be found without decoding the line: becomes the
  /// record's timestamp. Where it is set, a line that is behind the watermark made by those before it sees
  /// that watermark, as if the lines came one by one, so that what is late does not depend on how many are
  /// read at once. Called on every lane.
  std::function<std::optional<std::int64_t>(std::string_view line)> time_of{};
  std::size_t longest_line = 16u << 20;  ///< bytes; a longer one ends the job

  std::unique_ptr<source_connector> make_source() const;
};

/// Writes each record's value as a line (formats that write a line end themselves are left alone; a tombstone
/// is passed over). All lanes write to the one file, whole lines each, in no order between lanes. What has
/// been written is on the disk when an epoch's positions are committed: at least once.
struct sink {
  std::string path;
  std::string header{};  ///< a first line, where the file is new or replaced
  /// Goes on behind what is there, on a new line; otherwise the file is replaced when the job starts.
  bool append = false;

  std::unique_ptr<sink_connector> make_sink() const;
};

}  // namespace penstock::files
