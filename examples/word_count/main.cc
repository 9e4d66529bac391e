// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "word_count.h"

// word_count < text
int main(int argc, char** argv) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  return penstock::main(word_count(std::move(lines)), argc, argv);
}
