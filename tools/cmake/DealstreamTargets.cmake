# The functions that declare every target of the tree.
#
#   dealstream_library(NAME n LAYER l SRCS... [PUBLIC_DEPS...] [DEPS...] [TESTS...] [TEST_DEPS...]
#                      [FUZZ...] [SEEDS folder] [BENCH...] [PROTOS...])
#   dealstream_crm_adapter(NAME n SRCS... [PROTOS...] [DEPS...] [TESTS...] [FUZZ...] [SIM...] [SIM_TESTS...])
#   dealstream_service(NAME n SRCS... MAIN main.cc [DEPS...] [TESTS...] [BENCH...])
#   dealstream_tool(NAME n SRCS... [DEPS...])
#
# Each library gets the alias dealstream::<name> and one test binary <name>_test. A dependency on
# another dealstream:: target must be of a strictly lower layer, and must be declared before.
include_guard(GLOBAL)

set(DEALSTREAM_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor -Werror)

function(_dealstream_check_args function)
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${function}(${ARG_NAME}): unknown argument: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
endfunction()

function(_dealstream_check_layers name layer)
  foreach(dep IN LISTS ARGN)
    if(NOT dep MATCHES "^dealstream::")
      continue()
    endif()
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${name}: ${dep} doesn't exist (yet): a library depends on lower layers only, and those come first")
    endif()
    get_target_property(real ${dep} ALIASED_TARGET)
    if(NOT real)
      set(real ${dep})
    endif()
    get_target_property(dep_layer ${real} DEALSTREAM_LAYER)
    if(NOT dep_layer LESS layer)
      message(FATAL_ERROR "${name} (layer ${layer}) may not depend on ${dep} (layer ${dep_layer}): only on strictly lower layers")
    endif()
  endforeach()
endfunction()

# Compiles .proto files, whose paths are relative to `root`, into the target.
function(_dealstream_add_protos target root grpc)
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  foreach(proto IN LISTS ARGN)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(files ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
    set(grpc_args "")
    if(grpc)
      list(APPEND files ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
      set(grpc_args --grpc_out=${out} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
    endif()
    add_custom_command(
      OUTPUT ${files}
      COMMAND protobuf::protoc -I${CMAKE_SOURCE_DIR}/proto -I${root} --cpp_out=${out} ${grpc_args} ${root}/${proto}
      DEPENDS ${root}/${proto}
      COMMENT "protoc ${proto}"
      VERBATIM)
    target_sources(${target} PRIVATE ${files})
    set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "-w")
  endforeach()
  target_include_directories(${target} SYSTEM PUBLIC ${out})
endfunction()

function(_dealstream_common target)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE ${DEALSTREAM_WARNINGS})
endfunction()

# What runs in production or is measured; tests take the system's allocator.
function(_dealstream_allocator target)
  if(TARGET PkgConfig::jemalloc)
    target_link_libraries(${target} PRIVATE PkgConfig::jemalloc)
  endif()
endfunction()

function(_dealstream_tests name)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "SEEDS" "LIBS;TESTS;TEST_DEPS;FUZZ;BENCH")
  if(T_TESTS AND BUILD_TESTING)
    add_executable(${name}_test ${T_TESTS})
    _dealstream_common(${name}_test)
    target_link_libraries(${name}_test PRIVATE ${T_LIBS} ${T_TEST_DEPS} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE DEALSTREAM_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
      DEALSTREAM_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
    # One process a suite would be exact but slow; a binary a library is quick to start and as clear.
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS unit)
  endif()
  if(T_FUZZ AND DEALSTREAM_FUZZ)
    foreach(source IN LISTS T_FUZZ)
      get_filename_component(stem ${source} NAME_WE)
      add_executable(${name}_${stem} ${source})
      _dealstream_common(${name}_${stem})
      target_link_libraries(${name}_${stem} PRIVATE ${T_LIBS} ${T_TEST_DEPS})
      target_link_options(${name}_${stem} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${name}_${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
      # tools/test finds the folder of a target's seeds in the file of its name with .seeds added.
      file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/fuzz/${name}_${stem}.seeds CONTENT "${T_SEEDS}\n")
    endforeach()
  endif()
  if(T_BENCH)
    add_executable(${name}_bench ${T_BENCH})
    _dealstream_common(${name}_bench)
    target_link_libraries(${name}_bench PRIVATE ${T_LIBS} ${T_TEST_DEPS} benchmark::benchmark_main)
    _dealstream_allocator(${name}_bench)
    target_compile_definitions(${name}_bench PRIVATE DEALSTREAM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  endif()
endfunction()

function(dealstream_library)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "GRPC" "NAME;LAYER;PROTO_ROOT;SEEDS" "SRCS;PUBLIC_DEPS;DEPS;TESTS;TEST_DEPS;FUZZ;BENCH;PROTOS")
  _dealstream_check_args(dealstream_library)
  if(NOT DEFINED ARG_LAYER)
    message(FATAL_ERROR "dealstream_library(${ARG_NAME}): LAYER is missing")
  endif()
  _dealstream_check_layers(${ARG_NAME} ${ARG_LAYER} ${ARG_PUBLIC_DEPS} ${ARG_DEPS})
  set(target dealstream_${ARG_NAME})
  add_library(${target} STATIC ${ARG_SRCS})
  add_library(dealstream::${ARG_NAME} ALIAS ${target})
  # Exported by the test of tools/new_crm.
  set_target_properties(${target} PROPERTIES DEALSTREAM_LAYER ${ARG_LAYER} LINKER_LANGUAGE CXX
    EXPORT_NAME ${ARG_NAME} EXPORT_PROPERTIES DEALSTREAM_LAYER)
  set_property(GLOBAL APPEND PROPERTY DEALSTREAM_LIBRARIES ${target})
  _dealstream_common(${target})
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC_DEPS} PRIVATE ${ARG_DEPS})
  if(ARG_PROTOS)
    if(NOT ARG_PROTO_ROOT)
      set(ARG_PROTO_ROOT ${CMAKE_SOURCE_DIR})
    endif()
    _dealstream_add_protos(${target} ${ARG_PROTO_ROOT} ${ARG_GRPC} ${ARG_PROTOS})
    target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  endif()
  if(NOT ARG_SEEDS)
    set(ARG_SEEDS ${CMAKE_CURRENT_SOURCE_DIR}/testdata)
  endif()
  _dealstream_tests(${ARG_NAME} LIBS dealstream::${ARG_NAME} ${ARG_DEPS}
    TESTS ${ARG_TESTS} TEST_DEPS ${ARG_TEST_DEPS} FUZZ ${ARG_FUZZ} SEEDS ${ARG_SEEDS} BENCH ${ARG_BENCH})
endfunction()

# An adapter: library dealstream::crm_<name> of layer 50, entered in the generated registry by its
# folder's existence. FUZZ names classes of libs/crm/api/fuzz.h: Notice makes crm_<name>_notice_fuzz. SIM lists the
# sources of its simulator, library dealstream::crm_<name>_sim.
function(dealstream_crm_adapter)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "NAME" "SRCS;PROTOS;DEPS;TESTS;FUZZ;SIM;SIM_TESTS")
  _dealstream_check_args(dealstream_crm_adapter)
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  if(NOT folder STREQUAL ARG_NAME)
    message(FATAL_ERROR "dealstream_crm_adapter(${ARG_NAME}): its folder is called ${folder}; they must be the same")
  endif()
  set(test_deps dealstream::crm_conformance)
  if(ARG_SIM)
    dealstream_library(NAME crm_${ARG_NAME}_sim LAYER 50 SRCS ${ARG_SIM}
      DEPS dealstream::crm_sim dealstream::base nlohmann_json::nlohmann_json ZLIB::ZLIB
      TESTS ${ARG_SIM_TESTS})
    list(APPEND test_deps dealstream::crm_${ARG_NAME}_sim)
    set_property(GLOBAL APPEND PROPERTY DEALSTREAM_CRM_SIMS ${ARG_NAME})
  endif()
  set(protos "")
  foreach(proto IN LISTS ARG_PROTOS)
    list(APPEND protos libs/crm/${ARG_NAME}/${proto})
  endforeach()
  set(fuzz "")
  foreach(target IN LISTS ARG_FUZZ)
    set(crm ${ARG_NAME})
    set(testdata ${CMAKE_CURRENT_SOURCE_DIR}/testdata)
    string(TOLOWER ${target}_fuzz.cc file)
    set(file ${CMAKE_BINARY_DIR}/generated/libs/crm/${crm}/${file})
    configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../libs/crm/api/fuzz.cc.in ${file} @ONLY)
    list(APPEND fuzz ${file})
  endforeach()
  dealstream_library(NAME crm_${ARG_NAME} LAYER 50 SRCS ${ARG_SRCS} PROTOS ${protos}
    PUBLIC_DEPS dealstream::crm_api dealstream::proto DEPS ${ARG_DEPS}
    TESTS ${ARG_TESTS} TEST_DEPS ${test_deps} FUZZ ${fuzz})
  set_property(GLOBAL APPEND PROPERTY DEALSTREAM_CRMS ${ARG_NAME})
endfunction()

# After all adapters: libraries dealstream::crm_registry and dealstream::crm_simulators with what was
# declared, the tests of what all of them must do, and the benchmark of all mappers.
function(dealstream_crm_registry)
  set(root ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../libs/crm)
  get_property(crms GLOBAL PROPERTY DEALSTREAM_CRMS)
  set(includes "")
  set(makes "")
  set(deps "")
  foreach(crm IN LISTS crms)
    string(APPEND includes "#include \"libs/crm/${crm}/adapter.h\"\n")
    string(APPEND makes "  adapters.push_back(${crm}::MakeAdapter());\n")
    list(APPEND deps dealstream::crm_${crm})
  endforeach()
  configure_file(${root}/registry.cc.in ${CMAKE_BINARY_DIR}/generated/libs/crm/registry.cc @ONLY)
  dealstream_library(NAME crm_registry LAYER 60 SRCS ${CMAKE_BINARY_DIR}/generated/libs/crm/registry.cc
    PUBLIC_DEPS dealstream::crm_api DEPS ${deps}
    TESTS ${root}/conformance_test.cc TEST_DEPS dealstream::crm_conformance
    BENCH ${root}/mapper_bench.cc)

  get_property(sims GLOBAL PROPERTY DEALSTREAM_CRM_SIMS)
  set(includes "")
  set(makes "")
  set(deps "")
  foreach(crm IN LISTS sims)
    string(APPEND includes "#include \"libs/crm/${crm}/sim/simulator.h\"\n")
    string(APPEND makes "  simulators[\"${crm}\"] = &${crm}::MakeSimulator;\n")
    list(APPEND deps dealstream::crm_${crm}_sim)
  endforeach()
  configure_file(${root}/simulators.cc.in ${CMAKE_BINARY_DIR}/generated/libs/crm/simulators.cc @ONLY)
  dealstream_library(NAME crm_simulators LAYER 60 SRCS ${CMAKE_BINARY_DIR}/generated/libs/crm/simulators.cc
    PUBLIC_DEPS dealstream::crm_sim DEPS ${deps}
    TESTS ${root}/simulators_test.cc)
endfunction()

# A service: library dealstream::<name> of layer 90 (tested), and the executable <name> from MAIN.
function(dealstream_service)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "NAME;MAIN" "SRCS;DEPS;TESTS;TEST_DEPS;FUZZ;BENCH")
  _dealstream_check_args(dealstream_service)
  dealstream_library(NAME ${ARG_NAME} LAYER 90 SRCS ${ARG_SRCS} DEPS ${ARG_DEPS}
    TESTS ${ARG_TESTS} TEST_DEPS ${ARG_TEST_DEPS} FUZZ ${ARG_FUZZ} BENCH ${ARG_BENCH})
  dealstream_tool(NAME ${ARG_NAME} SRCS ${ARG_MAIN} DEPS dealstream::${ARG_NAME} ${ARG_DEPS})
endfunction()

function(dealstream_tool)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "NAME" "SRCS;DEPS")
  _dealstream_check_args(dealstream_tool)
  add_executable(${ARG_NAME} ${ARG_SRCS})
  _dealstream_common(${ARG_NAME})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  _dealstream_allocator(${ARG_NAME})
endfunction()
