# How the C and C++ libraries are built, and what is left out. It has the form of a toolchain file, because that is the only file that CMake
# takes from the environment. It names no compiler.

# libaom's build script asks for a debugging build in every profile but release. Without optimisation, each AVIF test would take ten times as
# long; with debug information, every test program would link 28 MB of it.
set(CMAKE_C_FLAGS_DEBUG "-O2" CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-O2" CACHE STRING "")

# libaom links libyuv into its example programs only.
set(CONFIG_LIBYUV 0 CACHE STRING "")

# That file uses `cmake_language(DEFER)`.
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.19)
  set(CMAKE_PROJECT_libjpeg-turbo_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/libjpeg-turbo.cmake")
endif()

# Without that file it is compiled for more processors, and works as well.
set(CMAKE_PROJECT_LIBJXL_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/libjxl.cmake")
