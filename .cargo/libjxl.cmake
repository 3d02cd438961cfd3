# What of libjxl is compiled: the encoder, and the decoder that it works with. Included by its `project()`.

# Each file with vectors is compiled once for every target that is left: what all processors of a kind have, and AVX2. With the other four on
# x86-64 and the newer ones on ARM it takes three times as long, for encodes that are a few percent faster.
foreach(target SSE4 AVX3_DL NEON NEON_BF16 SVE SVE2 SVE2_128)
  set(JPEGXL_ENABLE_HWY_${target} OFF CACHE BOOL "")
endforeach()
# Neither is for us.
set(JPEGXL_ENABLE_FUZZERS OFF CACHE BOOL "")
set(JPEGXL_ENABLE_TCMALLOC OFF CACHE BOOL "")

# In every profile alike: its debugging build checks itself, and takes ten times as long.
foreach(language C CXX)
  foreach(kind DEBUG RELEASE RELWITHDEBINFO MINSIZEREL)
    set(CMAKE_${language}_FLAGS_${kind} "-O2 -DNDEBUG")
  endforeach()
endforeach()
