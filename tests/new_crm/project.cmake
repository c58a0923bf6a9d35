# CMakeLists.txt of the scratch project that test.sh makes around a generated adapter.
cmake_minimum_required(VERSION 3.25)
project(new_crm LANGUAGES CXX C)
list(APPEND CMAKE_MODULE_PATH ${DEALSTREAM_TREE}/tools/cmake)
include(CTest)
include(DealstreamOptions)
include(DealstreamDependencies)
include(DealstreamTargets)
include(${DEALSTREAM_TREE_LIBRARIES})
add_subdirectory(libs/crm/sixth)
dealstream_crm_registry()
dealstream_tool(NAME crm-simulator SRCS ${DEALSTREAM_TREE}/tools/simulator/main.cc
  DEPS dealstream::crm_simulators dealstream::crm_sim dealstream::base CLI11::CLI11 fmt::fmt)
