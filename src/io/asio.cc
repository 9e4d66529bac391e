// SPDX-License-Identifier: Apache-2.0
// Boost.Asio's own code, compiled once (BOOST_ASIO_SEPARATE_COMPILATION) instead of in every file that uses
// it.
#include <boost/asio/impl/src.hpp>
