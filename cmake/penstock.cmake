# SPDX-License-Identifier: Apache-2.0
# What every room's CMakeLists.txt uses: one function for a library, one for a test, one for a benchmark.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

option(PENSTOCK_WERROR "Treat warnings as errors" ON)
option(PENSTOCK_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(PENSTOCK_UNITY "Compile several sources of a room at once: cheaper from nothing, dearer after each change" OFF)
set(PENSTOCK_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize")

# Every first-party target links this: warnings, include roots, sanitizers.
add_library(penstock_options INTERFACE)
target_compile_options(penstock_options INTERFACE -Wall -Wextra $<$<BOOL:${PENSTOCK_WERROR}>:-Werror>
                       -fdiagnostics-color=auto
                       # g++ 12 at -O3 sees tl::expected's error read, or its value freed, behind the branch that has
                       # just excluded it, and an overlap in std::string's own replace (GCC bug 105651). The sanitizers
                       # look for the real ones.
                       $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-maybe-uninitialized>
                       $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-free-nonheap-object>
                       $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>)
target_include_directories(penstock_options INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(penstock_options INTERFACE PENSTOCK_VERSION="${PROJECT_VERSION}")
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all
                         # The sanitizers' own code makes g++ 12 see an empty optional's value read; its manual warns
                         # of that, and AddressSanitizer sees the real ones.
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                         # A look at each pointer before its use doubles the time to compile. Rooms that make values of
                         # bytes have it; elsewhere AddressSanitizer finds what is null or out of bounds.
                         $<$<NOT:$<BOOL:$<TARGET_PROPERTY:PENSTOCK_CHECK_POINTERS>>>:-fno-sanitize=null,alignment,object-size,vptr>)
  target_link_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
endif()
if(PENSTOCK_FUZZ)
  # Coverage instrumentation everywhere; the fuzz executables alone link libFuzzer's main.
  target_compile_options(penstock_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost 1.81 REQUIRED)
enable_testing()
if(PROJECT_IS_TOP_LEVEL AND NOT PENSTOCK_FUZZ)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# For libraries and tests: how their sources are compiled.
# With PENSTOCK_UNITY several at once. The plain build compiles each alone and so proves that each includes what it uses.
function(penstock_prepare target)
  if(target MATCHES "^(penstock_)?(base|wire|log)(_test)?$")
    set_target_properties(${target} PROPERTIES PENSTOCK_CHECK_POINTERS ON)
  endif()
  if(PENSTOCK_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
    # Says that a type of an unnamed namespace stands in a "header": here, in the source that the unit includes.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# penstock_library(NAME room SOURCES a.cc b.cc [DEPS targets])
# Makes the target penstock_<room>.
function(penstock_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
  add_library(penstock_${ARG_NAME} STATIC ${ARG_SOURCES})
  penstock_prepare(penstock_${ARG_NAME})
  target_link_libraries(penstock_${ARG_NAME} PUBLIC $<BUILD_INTERFACE:penstock_options> ${ARG_DEPS} Threads::Threads)
endfunction()

# What `./dev test` builds: every unit test with AddressSanitizer, those that start threads with ThreadSanitizer too,
# and for the other suites every program that is no unit test, plain.
add_custom_target(tests_unit)
add_custom_target(tests_threads)
add_custom_target(tests_programs)
# With PENSTOCK_FUZZ, what `./dev build fuzz` builds.
add_custom_target(fuzzers)
set(penstock_threaded_tests io_test proxy_test broker_test engine_test connectors_test runtime_test lanes_test
                            client_broker_test)

# penstock_test(NAME room_test SOURCES a_test.cc [DEPS targets] [LABELS labels])
# One binary a room, registered test by test; its labels choose the suite: default is "unit".
function(penstock_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(PENSTOCK_FUZZ OR NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  penstock_prepare(${ARG_NAME})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  gtest_discover_tests(${ARG_NAME} DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(tests_unit ${ARG_NAME})
  endif()
  if(ARG_NAME IN_LIST penstock_threaded_tests)
    add_dependencies(tests_threads ${ARG_NAME})
  endif()
endfunction()

# penstock_fuzz(NAME wire_fuzz SOURCES wire_fuzz.cc CORPUS dir [DEPS targets])
# With PENSTOCK_FUZZ: a libFuzzer executable. Otherwise: the same target function driven over its corpus, as a test.
function(penstock_fuzz)
  cmake_parse_arguments(ARG "" "NAME;CORPUS" "SOURCES;DEPS" ${ARGN})
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  if(PENSTOCK_FUZZ)
    add_executable(${ARG_NAME} ${ARG_SOURCES})
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
    target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${ARG_NAME})
  else()
    add_executable(${ARG_NAME} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus_main.cc)
    target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} penstock_options)
    add_dependencies(tests_unit ${ARG_NAME})
    add_test(NAME ${ARG_NAME}_corpus COMMAND ${ARG_NAME} ${ARG_CORPUS})
    set_tests_properties(${ARG_NAME}_corpus PROPERTIES LABELS "unit" TIMEOUT 120)
  endif()
endfunction()

# penstock_collect_programs(DIRECTORY...): what tests_programs stands for. Once all directories have been added.
function(penstock_collect_programs)
  get_target_property(unit tests_unit MANUALLY_ADDED_DEPENDENCIES)
  list(FILTER ARGV EXCLUDE REGEX "/bench$")
  foreach(directory ${ARGV})
    get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target ${targets})
      get_target_property(kind ${target} TYPE)
      if(kind STREQUAL EXECUTABLE AND NOT target IN_LIST unit AND NOT target MATCHES "_bench$")
        add_dependencies(tests_programs ${target})
      endif()
    endforeach()
    get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
    if(below)
      penstock_collect_programs(${below})
    endif()
  endforeach()
endfunction()
