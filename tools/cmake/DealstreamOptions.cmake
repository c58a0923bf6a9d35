# Language, warnings, linker, cache and instrumentation: the same for every target.
include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

set(DEALSTREAM_SANITIZE "" CACHE STRING "Sanitizers: 'address;undefined' or 'thread'; empty for none")
option(DEALSTREAM_COVERAGE "Compile with --coverage" OFF)
option(DEALSTREAM_FUZZ "Build fuzz targets (clang, libFuzzer)" OFF)

find_program(DEALSTREAM_CCACHE ccache)
if(DEALSTREAM_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${DEALSTREAM_CCACHE})
endif()

# Names of files in assertions and debug information don't depend on where the tree lies.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -fno-omit-frame-pointer)

# mold knows no LTO plugin of clang 14; the release preset's LTO goes through the default linker.
find_program(DEALSTREAM_MOLD mold)
if(DEALSTREAM_MOLD AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
endif()

# Files compiled in batches are included into a generated one, where g++ takes the unnamed namespace
# of a .cc file for that of a header.
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-subobject-linkage)
endif()

if(DEALSTREAM_SANITIZE)
  string(REPLACE ";" "," sanitizers "${DEALSTREAM_SANITIZE}")
  # SOCI's classes have no type information outside of its library, which the vptr check wants.
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize=vptr -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${sanitizers})
endif()
if(DEALSTREAM_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(DEALSTREAM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
