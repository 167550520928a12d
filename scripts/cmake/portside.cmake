# Build settings and the three functions every folder uses:
#   ps_library(name SOURCES ... DEPS ...)   a static library of one folder
#   ps_program(name SOURCES ... DEPS ...)   an executable
#   ps_test(name SOURCES ... DEPS ...)      a cmocka program, run by ctest
#   ps_fuzzer(name SOURCES ... DEPS ...)    libFuzzer target in the fuzz preset,
#                                           elsewhere a corpus replayer
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(PS_WERROR "treat warnings as errors" OFF)
set(PS_SANITIZE "" CACHE STRING "comma list for -fsanitize=")
option(PS_PACKAGE "build what packages hold: no path of this machine, no tests" OFF)
option(PS_FUZZ "build libFuzzer targets (needs clang)" OFF)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core libevent_pthreads)
pkg_check_modules(LIBSYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(LIBEVENT_HTTP REQUIRED IMPORTED_TARGET libevent_extra libevent_openssl)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(LIBMARIADB REQUIRED IMPORTED_TARGET libmariadb)
pkg_check_modules(ODBC REQUIRED IMPORTED_TARGET odbc)
pkg_check_modules(PROTOBUFC REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
find_library(PS_NNG_LIBRARY nng REQUIRED)
find_library(PS_CMOCKA_LIBRARY cmocka)

add_library(ps_options INTERFACE)
target_include_directories(ps_options INTERFACE
    ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_definitions(ps_options INTERFACE
    _GNU_SOURCE PS_VERSION="${PROJECT_VERSION}")
target_compile_options(ps_options INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wformat=2 -Wcast-qual -Wimplicit-fallthrough -Wnull-dereference
    -fno-common -fno-omit-frame-pointer)
if(PS_WERROR)
    target_compile_options(ps_options INTERFACE -Werror)
endif()
if(PS_SANITIZE)
    target_compile_options(ps_options INTERFACE -fsanitize=${PS_SANITIZE}
        -fno-sanitize-recover=all)
    target_link_options(ps_options INTERFACE -fsanitize=${PS_SANITIZE})
    # GCC 12 reports false positives of these warnings under sanitizers.
    target_compile_options(ps_options INTERFACE -Wno-null-dereference
        $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Release|RelWithDebInfo" AND NOT PS_SANITIZE)
    target_compile_options(ps_options INTERFACE -O2 -fstack-protector-strong
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-clash-protection
        -fcf-protection)
    target_link_options(ps_options INTERFACE -Wl,-z,relro,-z,now -pie
        -Wl,--as-needed)
    # What check.c and asserts say of a place is the same on every machine.
    target_compile_options(ps_options INTERFACE
        -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
endif()
if(PS_FUZZ)
    # Warnings are gcc's business (clang sees casts inside protobuf-c's macros).
    target_compile_options(ps_options INTERFACE -fsanitize=fuzzer-no-link
        -Wno-cast-qual -Wno-implicit-fallthrough)
endif()
link_libraries(Threads::Threads)

# Optimised as one program at link time: the agent, whose hit is many small
# functions out of many folders. Objects hold ordinary code too, so whatever
# else links them (tests, benches) does so as fast as ever.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU"
        AND NOT PS_SANITIZE)
    add_compile_options(-flto=auto -ffat-lto-objects)
    add_link_options(
        $<IF:$<BOOL:$<TARGET_PROPERTY:PS_LTO>>,-flto=auto,-fno-lto>)
endif()

function(ps_library name)
    cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
    add_library(${name} STATIC ${A_SOURCES})
    target_link_libraries(${name} PUBLIC ps_options ${A_DEPS})
endfunction()

# LTO: see above.
function(ps_program name)
    cmake_parse_arguments(A "LTO" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE ps_options ${A_DEPS})
    set_target_properties(${name} PROPERTIES PS_LTO ${A_LTO})
    set_target_properties(${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# For packages, tests and fuzzers are targets that nobody asks for.
if(PS_PACKAGE)
    set(PS_NOT_PACKAGED EXCLUDE_FROM_ALL)
endif()
function(ps_test name)
    cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${PS_NOT_PACKAGED} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE ps_options ${A_DEPS}
        ${PS_CMOCKA_LIBRARY})
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300
        ENVIRONMENT "PS_SOURCE_DIR=${CMAKE_SOURCE_DIR};TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp;LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")
endfunction()

# A file NAME_fuzz.c has LLVMFuzzerTestOneInput. In the fuzz preset it links
# libFuzzer; otherwise tests/fuzz/replay.c runs it over its corpus folder
# tests/fuzz/corpus/NAME as an ordinary test. The name given is NAME_fuzz.
function(ps_fuzzer name)
    cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
    string(REGEX REPLACE "_fuzz$" "" corpus ${name})
    add_executable(${name} ${PS_NOT_PACKAGED} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE ps_options ${A_DEPS})
    set_target_properties(${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
    set_property(GLOBAL APPEND PROPERTY PS_FUZZERS ${name})
    if(PS_FUZZ)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
        add_test(NAME ${name} COMMAND ${name}
            ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${corpus})
        set_tests_properties(${name} PROPERTIES TIMEOUT 300)
    endif()
endfunction()
