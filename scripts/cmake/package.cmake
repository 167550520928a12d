# Debian packages by CPack: portside-controlplane, portside-agent, psctl. Made
# by scripts/package, from the preset `package`, so that no path of the machine
# that builds is in them.
if(NOT PS_PACKAGE)
    return()
endif()
set(PS_PACKAGE_REVISION 1 CACHE STRING "the Debian revision: 0.1.0-REVISION")

# Manual pages, from what --help says: manual(component program section title
# [help option]), with extra sections from PART/package/PROGRAM.h2m.
find_program(HELP2MAN help2man REQUIRED)
function(ps_manual component part program section title help)
    set(page ${CMAKE_BINARY_DIR}/man/${program}.${section})
    add_custom_command(
        OUTPUT ${page}.gz
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
        COMMAND ${HELP2MAN} --no-info --no-discard-stderr --section=${section}
            --name=${title} --help-option=${help}
            --version-string=${PROJECT_VERSION}
            --include=${CMAKE_SOURCE_DIR}/${part}/package/${program}.h2m
            --output=${page} ${CMAKE_BINARY_DIR}/bin/${program}
        COMMAND gzip -9 -n -f ${page}
        DEPENDS ${program} ${part}/package/${program}.h2m
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
        VERBATIM)
    add_custom_target(man-${program} ALL DEPENDS ${page}.gz)
    install(FILES ${page}.gz DESTINATION share/man/man${section}
        COMPONENT ${component})
endfunction()

# What Debian asks of every package: who may copy it, and what changed.
function(ps_documents component)
    string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
    set(NAME ${component})
    set(VERSION ${PROJECT_VERSION}-${PS_PACKAGE_REVISION})
    set(DATE ${now})
    set(changelog ${CMAKE_BINARY_DIR}/doc/${component}/changelog.Debian)
    configure_file(${CMAKE_SOURCE_DIR}/scripts/cmake/changelog.in ${changelog})
    execute_process(COMMAND gzip -9 -n -f ${changelog} COMMAND_ERROR_IS_FATAL ANY)
    install(FILES ${changelog}.gz DESTINATION share/doc/${component}
        COMPONENT ${component})
    install(FILES ${CMAKE_SOURCE_DIR}/scripts/cmake/copyright
        DESTINATION share/doc/${component} COMPONENT ${component})
endfunction()

function(ps_service component part)
    install(FILES ${CMAKE_SOURCE_DIR}/${part}/package/${component}.service
        DESTINATION lib/systemd/system COMPONENT ${component})
    install(TARGETS ${component} RUNTIME DESTINATION sbin
        COMPONENT ${component})
    # Where CMake installs below /usr, this has to be absolute.
    install(FILES ${CMAKE_SOURCE_DIR}/${part}/package/${part}.conf
        DESTINATION /etc/portside COMPONENT ${component})
    file(WRITE ${CMAKE_BINARY_DIR}/control/${component}/conffiles
        "/etc/portside/${part}.conf\n")
    file(CHMOD ${CMAKE_BINARY_DIR}/control/${component}/conffiles
        PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
        "${CMAKE_SOURCE_DIR}/${part}/package/postinst;${CMAKE_SOURCE_DIR}/${part}/package/prerm;${CMAKE_SOURCE_DIR}/${part}/package/postrm;${CMAKE_BINARY_DIR}/control/${component}/conffiles"
        PARENT_SCOPE)
endfunction()

set(components portside-controlplane portside-agent psctl)
foreach(component ${components})
    ps_documents(${component})
endforeach()
ps_service(portside-controlplane controlplane)
ps_service(portside-agent agent)
install(TARGETS portside-tds RUNTIME DESTINATION lib/portside
    COMPONENT portside-agent)
install(TARGETS psctl RUNTIME DESTINATION bin COMPONENT psctl)
ps_manual(portside-controlplane controlplane portside-controlplane 8
    "control plane of the Portside database cache" --help)
ps_manual(portside-agent agent portside-agent 8
    "agent of the Portside database cache" "run --help")
# psctl's manual and completions come from its own table.
add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/man/psctl.1.gz
        ${CMAKE_BINARY_DIR}/man/psctl.bash ${CMAKE_BINARY_DIR}/man/psctl.fish
        ${CMAKE_BINARY_DIR}/man/_psctl
    COMMAND ${CMAKE_COMMAND} -E make_directory man
    COMMAND bin/psctl help --man > man/psctl.1
    COMMAND gzip -9 -n -f man/psctl.1
    COMMAND bin/psctl completion bash > man/psctl.bash
    COMMAND bin/psctl completion fish > man/psctl.fish
    COMMAND bin/psctl completion zsh > man/_psctl
    DEPENDS psctl
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
    VERBATIM)
add_custom_target(man-psctl ALL DEPENDS ${CMAKE_BINARY_DIR}/man/psctl.1.gz)
install(FILES ${CMAKE_BINARY_DIR}/man/psctl.1.gz DESTINATION share/man/man1
    COMPONENT psctl)
install(FILES ${CMAKE_BINARY_DIR}/man/psctl.bash RENAME psctl
    DESTINATION share/bash-completion/completions COMPONENT psctl)
install(FILES ${CMAKE_BINARY_DIR}/man/psctl.fish
    DESTINATION share/fish/vendor_completions.d COMPONENT psctl)
install(FILES ${CMAKE_BINARY_DIR}/man/_psctl
    DESTINATION share/zsh/vendor-completions COMPONENT psctl)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Portside authors <portside@portside.invalid>")
set(CPACK_PACKAGE_VENDOR Portside)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE
    OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${PS_PACKAGE_REVISION})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS OFF)

set(CPACK_DEBIAN_PORTSIDE-CONTROLPLANE_PACKAGE_NAME portside-controlplane)
set(CPACK_DEBIAN_PORTSIDE-CONTROLPLANE_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.54)")
set(CPACK_COMPONENT_PORTSIDE-CONTROLPLANE_DESCRIPTION
    "control plane of the Portside database cache
Keeps the definitions of caches, tests from every region whether their
databases can be reached, and tells all agents what a write has changed.")
set(CPACK_DEBIAN_PORTSIDE-AGENT_PACKAGE_NAME portside-agent)
set(CPACK_DEBIAN_PORTSIDE-AGENT_PACKAGE_DEPENDS
    "adduser, ca-certificates, init-system-helpers (>= 1.54), openssl")
set(CPACK_DEBIAN_PORTSIDE-AGENT_PACKAGE_RECOMMENDS tdsodbc)
set(CPACK_COMPONENT_PORTSIDE-AGENT_DESCRIPTION
    "agent of the Portside database cache
Takes SQL over HTTP next to the code that asks, keeps connections to the
database open, and answers repeated reads from memory while they are right.")
set(CPACK_DEBIAN_PSCTL_PACKAGE_NAME psctl)
set(CPACK_DEBIAN_PSCTL_PACKAGE_SECTION admin)
set(CPACK_COMPONENT_PSCTL_DESCRIPTION
    "command line of the Portside database cache
Creates and changes caches, shows what agents do, and says why.")
include(CPack)
