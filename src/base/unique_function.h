// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace penstock {

template <typename Signature>
class unique_function;

/// A callable that is moved, never copied: C++23's std::move_only_function, for handlers that own their
/// state. Calling an empty one is undefined.
template <typename R, typename... Args>
class unique_function<R(Args...)> {
 public:
  unique_function() noexcept = default;
  unique_function(std::nullptr_t) noexcept {}
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, unique_function> &&
           std::is_invocable_r_v<R, std::remove_cvref_t<F>&, Args...>) unique_function(F&& f)
      : target_(std::make_unique<model<std::remove_cvref_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const noexcept { return target_ != nullptr; }
  R operator()(Args... args) { return target_->call(std::forward<Args>(args)...); }

 private:
  struct callable {
    virtual ~callable() = default;
    virtual R call(Args&&... args) = 0;
  };
  template <typename F>
  struct model final : callable {
    explicit model(F f) : function(std::move(f)) {}
    R call(Args&&... args) override { return function(std::forward<Args>(args)...); }
    F function;
  };
  std::unique_ptr<callable> target_;
};

}  // namespace penstock
