# SPDX-License-Identifier: Apache-2.0
# penstock::client, the Kafka client alone: what a program links, in this tree (add_subdirectory) or installed
# (find_package(penstock)). It gives the public headers and the libraries, and none of the project's own flags.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(penstock_client_interface INTERFACE)
add_library(penstock::client ALIAS penstock_client_interface)
set_target_properties(penstock_client_interface PROPERTIES EXPORT_NAME client)
target_compile_features(penstock_client_interface INTERFACE cxx_std_20)
target_link_libraries(penstock_client_interface INTERFACE $<LINK_ONLY:penstock_client>)
target_include_directories(penstock_client_interface INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS penstock_client_interface penstock_client penstock_wire penstock_io penstock_base
        EXPORT penstock ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT penstock NAMESPACE penstock:: FILE penstock-targets.cmake COMPONENT client
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/penstock)
# The headers of the client; those of its neighbours in the folder (the connectors') need the engine.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/penstock/kafka DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/penstock
        COMPONENT client PATTERN sink.h EXCLUDE PATTERN source.h EXCLUDE PATTERN table.h EXCLUDE)
foreach(header compression error record_view result)
  install(FILES ${PROJECT_SOURCE_DIR}/include/penstock/${header}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/penstock
          COMPONENT client)
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/penstock-config.cmake.in
                              ${PROJECT_BINARY_DIR}/penstock-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/penstock)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/penstock-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/penstock-config.cmake ${PROJECT_BINARY_DIR}/penstock-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/penstock COMPONENT client)
