// SPDX-License-Identifier: Apache-2.0
// SASL GSSAPI (RFC 4752) with Kerberos 5, through the machine's GSS-API library. Its calls may ask a KDC and
// wait for it, so they run on a thread of their own.
#include <fmt/format.h>

#include "client/sasl.h"

#ifdef PENSTOCK_KERBEROS

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include <array>

#include "io/background.h"

namespace penstock::client {
namespace {

constexpr std::size_t largest_token = 256u << 10;

gss_buffer_desc buffer_of(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }

/// A buffer that the library filled.
struct owned_buffer {
  gss_buffer_desc buffer = GSS_C_EMPTY_BUFFER;
  owned_buffer() = default;
  owned_buffer(const owned_buffer&) = delete;
  owned_buffer& operator=(const owned_buffer&) = delete;
  ~owned_buffer() {
    OM_uint32 minor = 0;
    gss_release_buffer(&minor, &buffer);
  }
  std::string_view view() const { return {static_cast<const char*>(buffer.value), buffer.length}; }
};

std::string words_of(OM_uint32 code, int type) {
  std::string all;
  OM_uint32 more = 0;
  for (int i = 0; i < 4; ++i) {
    OM_uint32 minor = 0;
    owned_buffer text;
    if (gss_display_status(&minor, code, type, GSS_C_NO_OID, &more, &text.buffer) != GSS_S_COMPLETE) break;
    all += (all.empty() ? "" : ", ") + std::string(text.view());
    if (more == 0) break;
  }
  return all;
}

error failure(std::string_view what, OM_uint32 major, OM_uint32 minor) {
  auto why = words_of(major, GSS_C_GSS_CODE);
  if (minor != 0) why += ": " + words_of(minor, GSS_C_MECH_CODE);
  return error(errc::authentication, without(fmt::format("Kerberos: cannot {}: {}", what, why), {}));
}

/// Everything of one exchange that the library sees; used on the thread alone.
class kerberos_context {
 public:
  kerberos_context(kafka::kerberos_settings s, std::string host)
      : settings_(std::move(s)), host_(std::move(host)) {}
  kerberos_context(const kerberos_context&) = delete;
  kerberos_context& operator=(const kerberos_context&) = delete;
  ~kerberos_context() {
    OM_uint32 minor = 0;
    if (context_ != GSS_C_NO_CONTEXT) gss_delete_sec_context(&minor, &context_, GSS_C_NO_BUFFER);
    if (credential_ != GSS_C_NO_CREDENTIAL) gss_release_cred(&minor, &credential_);
    if (target_ != GSS_C_NO_NAME) gss_release_name(&minor, &target_);
  }

  result<sasl_token> next(std::string_view token) {
    if (token.size() > largest_token)
      return fail(errc::authentication, "Kerberos: the broker's token is too long");
    if (answered_layers_) return sasl_token();
    if (established_) return choose_layer(token);
    if (target_ == GSS_C_NO_NAME) {
      if (auto ready = prepare(); !ready) return fail(ready.error());
    }
    return step(token);
  }

 private:
  result<> prepare() {
    OM_uint32 minor = 0;
    const auto service = fmt::format("{}@{}", settings_.service_name, host_);
    auto name = buffer_of(service);
    auto major = gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &target_);
    if (GSS_ERROR(major)) return fail(failure(fmt::format("name {}", service), major, minor));
    if (settings_.keytab.empty() && settings_.principal.empty()) return {};

    gss_name_t own = GSS_C_NO_NAME;
    if (!settings_.principal.empty()) {
      auto principal = buffer_of(settings_.principal);
      major = gss_import_name(&minor, &principal, GSS_KRB5_NT_PRINCIPAL_NAME, &own);
      if (GSS_ERROR(major))
        return fail(failure(fmt::format("name the principal {}", settings_.principal), major, minor));
    }
    // With a keytab the library gets (and renews) the ticket by itself, into a cache in memory
    // that connections share; named for the keytab too, or another keytab would get this one's tickets.
    const auto cache = fmt::format("MEMORY:penstock-{}-{}", settings_.principal, settings_.keytab);
    std::array<gss_key_value_element_desc, 2> elements{
        {{"client_keytab", settings_.keytab.c_str()}, {"ccache", cache.c_str()}}};
    gss_key_value_set_desc store{static_cast<OM_uint32>(elements.size()), elements.data()};
    const bool with_keytab = !settings_.keytab.empty();
    major = gss_acquire_cred_from(&minor, own, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_INITIATE,
                                  with_keytab ? &store : nullptr, &credential_, nullptr, nullptr);
    OM_uint32 ignored = 0;
    if (own != GSS_C_NO_NAME) gss_release_name(&ignored, &own);
    if (!GSS_ERROR(major)) return {};
    const auto from =
        with_keytab ? fmt::format("the keytab {}", settings_.keytab) : std::string("the ticket cache");
    return fail(failure(
        fmt::format("use {}{}{}", from, settings_.principal.empty() ? "" : " for ", settings_.principal),
        major, minor));
  }

  result<sasl_token> step(std::string_view token) {
    OM_uint32 minor = 0;
    auto in = buffer_of(token);
    owned_buffer out;
    const auto major = gss_init_sec_context(
        &minor, credential_, &context_, target_, const_cast<gss_OID>(gss_mech_krb5),
        GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS,
        token.empty() ? GSS_C_NO_BUFFER : &in, nullptr, &out.buffer, nullptr, nullptr);
    if (GSS_ERROR(major))
      return fail(failure(
          fmt::format("get a ticket for {}@{}, or accept the broker's", settings_.service_name, host_), major,
          minor));
    established_ = major == GSS_S_COMPLETE;
    return sasl_token(out.view());
  }

  /// The broker offers protections of the connection; we want none, as Kafka has none.
  result<sasl_token> choose_layer(std::string_view token) {
    OM_uint32 minor = 0;
    auto in = buffer_of(token);
    owned_buffer offered, sealed;
    auto major = gss_unwrap(&minor, context_, &in, &offered.buffer, nullptr, nullptr);
    if (GSS_ERROR(major)) return fail(failure("read the broker's offer", major, minor));
    if (offered.view().size() != 4 || (offered.view()[0] & 1) == 0)
      return fail(errc::authentication, "Kerberos: the broker wants a protection that Kafka does not have");
    std::string choice("\x01\0\0\0", 4);
    auto plain = buffer_of(choice);
    major = gss_wrap(&minor, context_, 0, GSS_C_QOP_DEFAULT, &plain, nullptr, &sealed.buffer);
    if (GSS_ERROR(major)) return fail(failure("answer the broker's offer", major, minor));
    answered_layers_ = true;
    return sasl_token(sealed.view());
  }

  kafka::kerberos_settings settings_;
  std::string host_;
  gss_name_t target_ = GSS_C_NO_NAME;
  gss_cred_id_t credential_ = GSS_C_NO_CREDENTIAL;
  gss_ctx_id_t context_ = GSS_C_NO_CONTEXT;
  bool established_ = false;
  bool answered_layers_ = false;
};

class kerberos_exchange final : public sasl_exchange {
 public:
  kerberos_exchange(io::background& thread, const kafka::kerberos_settings& s, const std::string& host)
      : thread_(thread), context_(std::make_shared<kerberos_context>(s, host)) {}

  void next(std::string_view token, sasl_handler done) override {
    thread_.run([context = context_, alive = std::weak_ptr<void>(alive_), token = std::string(token),
                 done = std::move(done)]() mutable -> unique_function<void()> {
      auto answer = context->next(token);
      return [alive, answer = std::move(answer), done = std::move(done)]() mutable {
        if (!alive.expired()) done(std::move(answer));
      };
    });
  }

 private:
  io::background& thread_;
  std::shared_ptr<kerberos_context> context_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

class kerberos_login final : public sasl_login {
 public:
  kerberos_login(io::event_loop& loop, kafka::kerberos_settings s) : settings_(std::move(s)), thread_(loop) {}
  std::string_view mechanism() const noexcept override { return "GSSAPI"; }
  std::unique_ptr<sasl_exchange> begin(const std::string& broker_host) override {
    return std::make_unique<kerberos_exchange>(thread_, settings_, broker_host);
  }

 private:
  kafka::kerberos_settings settings_;
  io::background thread_;
};

}  // namespace

result<std::unique_ptr<sasl_login>> make_kerberos_login(io::event_loop& loop,
                                                        const kafka::security_settings& s) {
  return std::make_unique<kerberos_login>(loop, s.kerberos);
}

}  // namespace penstock::client

#else

namespace penstock::client {

result<std::unique_ptr<sasl_login>> make_kerberos_login(io::event_loop&, const kafka::security_settings&) {
  return fail(errc::unsupported,
              "sasl.mechanism=GSSAPI: this build has no Kerberos; install libkrb5-dev and configure it anew");
}

}  // namespace penstock::client

#endif
