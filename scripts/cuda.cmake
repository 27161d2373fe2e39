# The CUDA backend: kernels/cuda, where nvcc is. Elsewhere kernels/no_gpu.cpp says that there is none.
set(CARAT_CUDA AUTO CACHE STRING "build for NVIDIA GPUs: AUTO (where nvcc is), ON or OFF")
# One for the newest, and what every older one from sm_75 on compiles for itself when it first starts: half of the time
# that "75-real;80-real;90" takes, which leaves nothing to compile.
set(CARAT_CUDA_ARCHITECTURES "75-virtual;90-real" CACHE STRING "of GPUs, as CMAKE_CUDA_ARCHITECTURES has them")

set(CARAT_HAS_CUDA OFF)
if(CARAT_CUDA STREQUAL "AUTO" AND CARAT_SANITIZE)
  # The sanitizers see the same sources compiled for the emulator.
elseif(CARAT_CUDA)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(CARAT_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda/bin)
    if(CARAT_NVCC)
      set(CMAKE_CUDA_COMPILER ${CARAT_NVCC})
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CARAT_HAS_CUDA ON)
  elseif(NOT CARAT_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "CARAT_CUDA is ${CARAT_CUDA}, and there is no nvcc that works")
  endif()
endif()

if(NOT CARAT_HAS_CUDA)
  target_sources(carat_kernels PRIVATE kernels/no_gpu.cpp)
  return()
endif()

set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # named below
set(CMAKE_CUDA_ARCHITECTURES ${CARAT_CUDA_ARCHITECTURES})
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")  # which CMake 3.25 does not know of nvcc
endif()
file(GLOB cuda_sources CONFIGURE_DEPENDS kernels/cuda/*.cu kernels/cuda/*.cpp)
add_library(carat_cuda OBJECT ${cuda_sources})
target_include_directories(carat_cuda PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(carat_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
target_compile_options(carat_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${CARAT_WERROR}>:-Werror>>
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -O3>)
target_sources(carat_kernels PRIVATE $<TARGET_OBJECTS:carat_cuda>)
# The runtime is linked in: the program starts where there is no CUDA, and finds a driver when it looks for one.
get_filename_component(toolkit ${CMAKE_CUDA_COMPILER} DIRECTORY)
find_library(CARAT_CUDART cudart_static HINTS ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES} ${toolkit}/../lib64 REQUIRED)
target_link_libraries(carat_kernels PUBLIC ${CARAT_CUDART} ${CMAKE_DL_LIBS} rt Threads::Threads)
