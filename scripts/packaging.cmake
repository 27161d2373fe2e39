# What `cmake --install` puts where, and the Debian package (scripts/package). The manual page and the completions are
# carat's own words: it is asked for them when it is installed.
include(GNUInstallDirs)
install(TARGETS carat)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES scripts/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Of the libraries that are headers, and so part of the program: where Debian's packages have put them.
foreach(library libcli11-dev libspdlog-dev libxsimd-dev nlohmann-json3-dev)
  install(FILES /usr/share/doc/${library}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR}/licenses RENAME ${library}
          OPTIONAL)
endforeach()

set(CPACK_PACKAGE_CONTACT "carat maintainers <maintainers@users.noreply.b-seed-da9cd4db.example>")  # of every commit
execute_process(COMMAND git log -1 --format=%cD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE commit_date
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit_date)
  string(TIMESTAMP commit_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
endif()

set(written ${PROJECT_BINARY_DIR}/packaging)
file(WRITE ${written}/changelog "carat (${PROJECT_VERSION}) unstable; urgency=low

  * Commit ${commit}.

 -- ${CPACK_PACKAGE_CONTACT}  ${commit_date}
")
install(CODE "set(carat $<TARGET_FILE:carat>)\nset(written ${written})")
install(CODE [[
  file(MAKE_DIRECTORY ${written})
  function(ask name)
    execute_process(COMMAND ${carat} ${ARGN} OUTPUT_FILE ${written}/${name} COMMAND_ERROR_IS_FATAL ANY)
  endfunction()
  ask(carat.1 help --man)
  ask(carat.bash completion bash)
  ask(_carat completion zsh)
  ask(carat.fish completion fish)
  # -n: the same bytes each time
  execute_process(COMMAND gzip -9nfk ${written}/carat.1 ${written}/changelog COMMAND_ERROR_IS_FATAL ANY)
]])
install(FILES ${written}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${written}/carat.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${written}/carat.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME carat)
install(FILES ${written}/_carat DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${written}/carat.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME carat)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs open language models on the CPU")
set(CPACK_PACKAGE_DESCRIPTION "One program for Gemma, Llama and Qwen models in GGUF and .sbs files: it
answers and chats on the terminal or line by line for other programs, measures
speed, and converts weights. A very small model inside answers questions about
it, with nothing downloaded.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS bash-completion)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # the packages of the libraries it is linked with, in their versions
include(CPack)
