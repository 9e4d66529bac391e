// SPDX-License-Identifier: Apache-2.0
// For tests: certificates, made on the spot.
#pragma once

#include <memory>
#include <string>

namespace penstock::io::testing {

/// A certificate and its private key, both in PEM.
struct certificate {
  std::string pem;
  std::string key;
};

struct certificate_wish {
  std::string name = "broker";                           ///< CN
  std::string for_names = "DNS:localhost,IP:127.0.0.1";  ///< subjectAltName; empty: none
  int valid_from_hours = -24;                            ///< from now
  int valid_to_hours = 24;
};

/// An authority with a key of its own.
class authority {
 public:
  explicit authority(const std::string& name);
  ~authority();
  std::string pem() const;
  certificate issue(const certificate_wish& wish = {}) const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// The same key, encrypted.
std::string encrypt_key(const std::string& key_pem, const std::string& password);

}  // namespace penstock::io::testing
