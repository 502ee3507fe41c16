# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_plainsight_global_optspecs
    string join \n h/help V/version
end

function __fish_plainsight_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_plainsight_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_plainsight_using_subcommand
    set -l cmd (__fish_plainsight_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c plainsight -n "__fish_plainsight_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_needs_command" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "lab" -d 'Runs the experiments on this machine: two agents, a network between them, and a capturer on the network'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "doctor" -d 'Check which backends work on this machine, and print a remedy for each that does not'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "analyze" -d 'Find out which of the agents\' strings can be read in a capture, and prove it: exposed, sealed or inconclusive'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "check" -d 'Check captures by a policy, a file of rules: the gate of a CI run'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "report" -d 'Turns the analyzer\'s result into the lab report: report.md with its figures, report.html and, on request, report.pdf and report.docx'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "capture" -d 'Records packets to a pcap file, and describes the capture of an experiment in a manifest'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "capturer" -d 'Records packets to a pcap file, and describes the capture of an experiment in a manifest'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "certs" -d 'Creates a certificate authority, a server certificate and a client certificate for the lab'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "certgen" -d 'Creates a certificate authority, a server certificate and a client certificate for the lab'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "live" -d 'Serves the page that shows a conversation beside its packets, runs experiments, and opens captures'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "gateway" -d 'Answers users in conversations, each request in a disposable sandbox without network'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "agent-a" -d 'Posts tool calls to agent-b and checks every answer'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "agent-b" -d 'Runs a tool for each tool call posted to /tool'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "isolation-control" -d 'Runs a program in sandboxes that have a network: the positive control of the isolation experiment. Only `lab` and `make isolation` have a use for it'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "completions" -d 'Print what completes the commands in a shell'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "man" -d 'Write the manual pages'
complete -c plainsight -n "__fish_plainsight_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "run" -d 'Run experiments in the order given, and publish their captures, journals and manifests'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "doctor" -d 'Check which backends work on this machine, and print a remedy for each that does not'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "cost" -d 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "demo" -d 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "__enter" -d 'Enter a network namespace and execute a program that the kernel kills when the lab dies'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "__isolation" -d 'Do one step of the isolation experiment, in a container of its own'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "__probe" -d 'Try the netns backend in this process, and print the result as JSON'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and not __fish_seen_subcommand_from run doctor cost demo __enter __isolation __probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -l backend -d 'The backend that carries the traffic' -r -f -a "auto\t'netns if it works on this machine, else relay'
netns\t'Two network namespaces joined by a veth pair (Linux)'
relay\t'Loopback with a recording relay between the agents (any system)'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -l certs -d 'Folder of the certificates; certgen creates or renews them when an experiment needs them' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -l captures -d 'Folder for the files of the runs' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -l count -d 'Number of messages that agent-a posts; without the flag, its whole script' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -l format -d 'What to print: text, the path of each result; or json, an object for each experiment, one a line' -r -f -a "text\t'Text for people'
json\t'JSON for programs'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from doctor" -l certs -d 'Folder of the certificates' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from doctor" -l format -d 'What to print: text, a table; or json, the document plainsight.doctor/1' -r -f -a "text\t'Text for people'
json\t'JSON for programs'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from doctor" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from doctor" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from doctor" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -l runs -d 'Number of runs of each variant' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -l backend -d 'The backend that carries the traffic' -r -f -a "auto\t'netns if it works on this machine, else relay'
netns\t'Two network namespaces joined by a veth pair (Linux)'
relay\t'Loopback with a recording relay between the agents (any system)'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -l certs -d 'Folder of the certificates; certgen creates or renews them when an experiment needs them' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -l format -d 'What to print: text, a table; or json, the document plainsight.cost/1' -r -f -a "text\t'Text for people'
json\t'JSON for programs'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from cost" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -l listen -d 'Address of the page. On another address than loopback, a browser needs the token in the printed URL' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -l backend -d 'The backend that carries the traffic' -r -f -a "auto\t'netns if it works on this machine, else relay'
netns\t'Two network namespaces joined by a veth pair (Linux)'
relay\t'Loopback with a recording relay between the agents (any system)'"
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -l certs -d 'Folder of the certificates; certgen creates or renews them when an experiment needs them' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -l captures -d 'Folder in which the demo keeps its files while it runs' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -l open -d 'Open the page in a browser'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __enter" -l netns -d 'The network namespace to enter, if any' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __enter" -l parent -d 'Process id of the lab; the program dies with it' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __enter" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __enter" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __enter" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l folder -d 'Folder of the run\'s files' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l run-id -d 'The run id, 32 hex digits' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l server -d 'The gateway\'s listening address' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l client -d 'This container\'s address on the users\' network' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l intruder -d 'The address from which the plan has another client replay a user\'s id' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l phase -d 'The phase that a beacon belongs to, or whose owner or intruder this is' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l moment -d 'Whether a beacon starts or ends the captures of its phase' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l outside -d 'IPv4 address of agent-b, outside the gateway\'s host' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l outside-v6 -d 'IPv6 address of agent-b' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -l network -d 'The Docker network of the control\'s sandboxes' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __isolation" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __probe" -s v -l verbose -d 'Show the output of the programs while they run'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __probe" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from __probe" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run experiments in the order given, and publish their captures, journals and manifests'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "doctor" -d 'Check which backends work on this machine, and print a remedy for each that does not'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "cost" -d 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "demo" -d 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "__enter" -d 'Enter a network namespace and execute a program that the kernel kills when the lab dies'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "__isolation" -d 'Do one step of the isolation experiment, in a container of its own'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "__probe" -d 'Try the netns backend in this process, and print the result as JSON'
complete -c plainsight -n "__fish_plainsight_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand doctor" -l certs -d 'Folder of the certificates' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand doctor" -l format -d 'What to print: text, a table; or json, the document plainsight.doctor/1' -r -f -a "text\t'Text for people'
json\t'JSON for programs'"
complete -c plainsight -n "__fish_plainsight_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l format -d 'What to print' -r -f -a "text\t'Text for people'
json\t'The document plainsight.exposure/1'
jsonl\t'An object for each finding, one a line'
markdown\t'A summary for the page of a CI run, as GitHub shows it'
sarif\t'SARIF 2.1.0: exposures, leaks and doubts as results'
junit\t'JUnit XML: a test case for each expectation'
csv\t'A row for each finding (RFC 4180)'"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l output -d 'File for the result as JSON; without it, analysis/exposure.json if all paths are in the folder captures' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l annotate -d 'Directory for copies of the captures, as pcapng, with a comment on each packet that proves a finding' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l strings -d 'Strings to search for, one a line, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l json -d 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l journal -d 'A journal of what was sent, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l keys -d 'A key log (SSLKEYLOGFILE format), for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l server-key -d 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l scope -d 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l follow-for -d 'With --follow, a capture is over that did not grow for this many seconds' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l color -d 'Controls when to use color' -r -f -a "auto\t''
always\t''
never\t''"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l no-output -d 'Write no file'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l embed-keys -d 'Put the key logs into these copies, so that Wireshark decrypts them; comments then quote what the keys open'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l show-secrets -d 'Show values whose name marks them as secrets, in captures without journals'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -l follow -d 'Follow one capture that another program is writing, or standard input: print a line for each message as it completes, and the result when the capture is over'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -s q -l quiet -d 'Print no progress on stderr'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -a "explain" -d 'Explain every byte of a frame'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -a "diff" -d 'Compare two results: what became readable, what ceased to be'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -a "check" -d 'Check captures by a policy, a file of rules: the gate of a CI run'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and not __fish_seen_subcommand_from explain diff check help" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -l keys -d 'A key log (SSLKEYLOGFILE format); by default the one that belongs to the capture' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -l server-key -d 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -l language -d 'Language of the explanations' -r -f -a "en\t'English'
ko\t'Korean'"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -l format -d 'What to print: text, or the document plainsight.explain/1' -r -f -a "text\t'Text for people'
json\t'A JSON document'"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -l color -d 'Controls when to use color' -r -f -a "auto\t''
always\t''
never\t''"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from diff" -l format -d 'What to print: text, or the document plainsight.diff/1' -r -f -a "text\t'Text for people'
json\t'A JSON document'"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from diff" -l color -d 'Controls when to use color' -r -f -a "auto\t''
always\t''
never\t''"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from diff" -s q -l quiet -d 'Print no progress on stderr'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l policy -d 'The policy: docs/policy.md describes its rules' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l baseline -d 'An older result, whose violations are known and do not fail the check: a document of `--format json`, a capture, or a directory of captures' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l format -d 'What to print' -r -f -a "text\t'Text for people'
json\t'The document plainsight.check/1'
markdown\t'A summary for the page of a CI run, as GitHub shows it'
sarif\t'SARIF 2.1.0: each violation as a result'
junit\t'JUnit XML: a test case for each rule and capture'"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l write -d 'Write the outcome into a file, too, in one of these formats' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l strings -d 'Strings to search for, one a line, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l json -d 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l journal -d 'A journal of what was sent, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l keys -d 'A key log (SSLKEYLOGFILE format), for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l server-key -d 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l scope -d 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -l color -d 'Controls when to use color' -r -f -a "auto\t''
always\t''
never\t''"
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print no progress on stderr'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Explain every byte of a frame'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Compare two results: what became readable, what ceased to be'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check captures by a policy, a file of rules: the gate of a CI run'
complete -c plainsight -n "__fish_plainsight_using_subcommand analyze; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l policy -d 'The policy: docs/policy.md describes its rules' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l baseline -d 'An older result, whose violations are known and do not fail the check: a document of `--format json`, a capture, or a directory of captures' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l format -d 'What to print' -r -f -a "text\t'Text for people'
json\t'The document plainsight.check/1'
markdown\t'A summary for the page of a CI run, as GitHub shows it'
sarif\t'SARIF 2.1.0: each violation as a result'
junit\t'JUnit XML: a test case for each rule and capture'"
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l write -d 'Write the outcome into a file, too, in one of these formats' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l strings -d 'Strings to search for, one a line, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l json -d 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l journal -d 'A journal of what was sent, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l keys -d 'A key log (SSLKEYLOGFILE format), for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l server-key -d 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l scope -d 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -l color -d 'Controls when to use color' -r -f -a "auto\t''
always\t''
never\t''"
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -s q -l quiet -d 'Print no progress on stderr'
complete -c plainsight -n "__fish_plainsight_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l output -d 'Folder to write the report to [default: that of the result]' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l lang -d 'Language of the report [default: that of the locale]' -r -f -a "en\t'English'
ko\t'한국어'"
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l author -d 'Author on the title page' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l course -d 'Course on the title page' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l date -d 'Date on the title page [default: the day of the first frame, UTC]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l title -d 'Title of the report' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l template -d 'Sections in an order of one\'s own, with titles and paragraphs of one\'s own: a TOML file (docs/programs/report.md)' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l appendix -d 'Add the appendices: every frame that the report refers to, more strings, more code and figures'
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l pdf -d 'Write report.pdf as well; needs Chromium or Chrome (variable CHROME)'
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -l docx -d 'Write report.docx as well, for Word; needs Chromium or Chrome for its pictures'
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand report" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "interface" -d 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "relay" -d 'Relay TCP connections and record them (any system, no privilege)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "healthcheck" -d 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l interface -d 'Name of the interface, as in `ip link`' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l backend -d 'Environment of the traffic, for the manifest: netns, relay or docker' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l user -d 'User and group to switch to once the packet socket is open; they own the files' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l variant -d 'The experiment that is run: a variant\'s name, or isolation [default: none, and no manifest]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l output -d 'Folder for the capture and its manifest; created if missing' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l name -d 'Stem of the file names [default: the experiment\'s name, or capture]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l port -d 'The server\'s port [default: the experiment\'s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l snaplen -d 'Maximum number of bytes kept of each frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l run-id -d 'The run id, 32 hex digits, the same as in the journals [default: fresh]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l ready-file -d 'File to write once the capturer is recording' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l key-log -d 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l quiet-ms -d 'After a signal, drain until no frame has arrived for this long' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l no-filter -d 'Capture every frame, on any port'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from interface" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l listen -d 'Address to listen on for agent-a; port 0 selects a free port, which the ready file contains' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l connect -d 'Address of agent-b' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l backend -d 'Environment of the traffic, for the manifest: netns, relay or docker' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l variant -d 'The experiment that is run: a variant\'s name, or isolation [default: none, and no manifest]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l output -d 'Folder for the capture and its manifest; created if missing' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l name -d 'Stem of the file names [default: the experiment\'s name, or capture]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l port -d 'The server\'s port [default: the experiment\'s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l snaplen -d 'Maximum number of bytes kept of each frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l run-id -d 'The run id, 32 hex digits, the same as in the journals [default: fresh]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l ready-file -d 'File to write once the capturer is recording' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l key-log -d 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l quiet-ms -d 'After a signal, drain until no frame has arrived for this long' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from relay" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from healthcheck" -l ready-file -d 'The capturer\'s --ready-file' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from healthcheck" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from healthcheck" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from healthcheck" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from help" -f -a "interface" -d 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from help" -f -a "relay" -d 'Relay TCP connections and record them (any system, no privilege)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from help" -f -a "healthcheck" -d 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand capture; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "interface" -d 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "relay" -d 'Relay TCP connections and record them (any system, no privilege)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "healthcheck" -d 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and not __fish_seen_subcommand_from interface relay healthcheck help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l interface -d 'Name of the interface, as in `ip link`' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l backend -d 'Environment of the traffic, for the manifest: netns, relay or docker' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l user -d 'User and group to switch to once the packet socket is open; they own the files' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l variant -d 'The experiment that is run: a variant\'s name, or isolation [default: none, and no manifest]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l output -d 'Folder for the capture and its manifest; created if missing' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l name -d 'Stem of the file names [default: the experiment\'s name, or capture]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l port -d 'The server\'s port [default: the experiment\'s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l snaplen -d 'Maximum number of bytes kept of each frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l run-id -d 'The run id, 32 hex digits, the same as in the journals [default: fresh]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l ready-file -d 'File to write once the capturer is recording' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l key-log -d 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l quiet-ms -d 'After a signal, drain until no frame has arrived for this long' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l no-filter -d 'Capture every frame, on any port'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from interface" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l listen -d 'Address to listen on for agent-a; port 0 selects a free port, which the ready file contains' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l connect -d 'Address of agent-b' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l backend -d 'Environment of the traffic, for the manifest: netns, relay or docker' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l variant -d 'The experiment that is run: a variant\'s name, or isolation [default: none, and no manifest]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l output -d 'Folder for the capture and its manifest; created if missing' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l name -d 'Stem of the file names [default: the experiment\'s name, or capture]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l port -d 'The server\'s port [default: the experiment\'s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l snaplen -d 'Maximum number of bytes kept of each frame' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l run-id -d 'The run id, 32 hex digits, the same as in the journals [default: fresh]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l ready-file -d 'File to write once the capturer is recording' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l key-log -d 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l quiet-ms -d 'After a signal, drain until no frame has arrived for this long' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from relay" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from healthcheck" -l ready-file -d 'The capturer\'s --ready-file' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from healthcheck" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from healthcheck" -l quiet -d 'Log errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from healthcheck" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from help" -f -a "interface" -d 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from help" -f -a "relay" -d 'Relay TCP connections and record them (any system, no privilege)'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from help" -f -a "healthcheck" -d 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand capturer; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -l out -d 'Folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -l san -d 'Additional DNS name or IP address of the server; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -l client -d 'Also create a client certificate with this subject, client-NAME.pem: a user of `gateway --auth mtls`; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -l force -d 'Renew all certificates, including the authority'
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand certs" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -l out -d 'Folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -l san -d 'Additional DNS name or IP address of the server; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -l client -d 'Also create a client certificate with this subject, client-NAME.pem: a user of `gateway --auth mtls`; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -l force -d 'Renew all certificates, including the authority'
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -s q -l quiet -d 'Print errors only'
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand certgen" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l listen -d 'Address of the page. On another address than loopback, a browser needs the token in the printed URL' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l demo -d 'What `lab demo` started (plainsight.demo/1), or docker/demo.json. Waits for each file that it names, up to 10 s' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l captures -d 'Show the captures in this folder, such as those of `make lab` or of CI; may be repeated' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l ready-file -d 'Write {"local":"ip:port"} to this file once the page is served' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l listener-is-stdin -d 'Serve on the listening socket that is stdin, which `lab demo` opened'
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -l open -d 'Open the page in a browser'
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -s v -l verbose -d 'Log more to stderr; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand live" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l listen -d 'The address to listen on; port 0 means any free one' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l tls-cert -d 'The certificate chain, leaf first (PEM)' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l tls-key -d 'The key of the certificate (PEM)' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l plain-listen -d 'With a certificate: also serve plain HTTP on this address, with the same store and queue. For comparisons' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l tls-versions -d 'TLS versions to speak: 1.3, 1.2 or 1.2,1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l store -d 'The store of the conversations: a file, or firestore:PROJECT in a gateway built with that feature' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l read-timeout -d 'Time for a handshake, the head and the body of a request each' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l connections-per-address -d 'Most connections from one address at a time. The default leaves a quarter to others; a proxy in front of the gateway may need all 640' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l keep-days -d 'Delete conversations without a message for so many days; without it they stay' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l audit-log -d 'Append a line of JSON for each sandbox to this file: user, conversation, limits, outcome and sizes, and no text. The same is in the log' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l journal -d 'Record every sandbox in this file, a line of JSON each (plainsight.box/1): its output, exit and limits. For experiments: it holds users\' messages and grows without limit. Replaces an existing file' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l run-id -d '32 hex digits in every line of the journal [default: random]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l ready-file -d 'Write {"local":"ip:port"} to this file once listening' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l log-format -d 'The form of the log' -r -f -a "human\t'Lines for people'
json\t'One JSON object a line: `timestamp`, `level`, `message`, the event\'s own fields, and in `span` the conversation'"
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l auth -d 'What names the user of a request' -r -f -a "header\t'The header X-User-Id, which any client can send'
token\t'A bearer token (RFC 6750), made by `gateway token add`'
mtls\t'The subject of the client\'s certificate'"
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l tokens -d 'With --auth token: the file of the tokens\' hashes; see gateway token' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l client-ca -d 'With --auth mtls: the authority that signs the clients\' certificates (PEM); certgen --client makes such certificates' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l allow-host -d 'A further name or address of this server, without port. Its own names are the address that a client connects to, localhost, the host name, and the names in its certificate; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l allow-origin -d 'A site whose pages may use this server, such as `https://chat.example`; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l rate -d 'Requests of one user in a second, in the long run; 0 for any number' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l rate-burst -d 'Requests of one user that may come at once' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l quota -d 'MiB that one user\'s conversations may take in the store; 0 for any number' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l backend -d 'What makes the sandboxes; auto uses the first that works on this machine, and logs which' -r -f -a "auto\t'The first that works: namespace, then docker; docker with an image'
namespace\t'Linux namespaces: no root, no daemon'
docker\t'Containers of a Docker engine'"
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l runner -d 'The program\'s absolute path on this machine or in the image [default: `runner` beside this program]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l runner-arg -d 'An argument of the program; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l runner-env -d 'A variable of the program\'s otherwise empty environment: NAME=VALUE, or NAME to pass on the gateway\'s own; may be repeated' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l image -d 'The container image that holds the program (docker only; never pulled)' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l read-only -d 'A file or folder of this machine that the sandbox gets read-only at the same path (namespace only); may be repeated. The gateway adds the program\'s libraries itself' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l prompt-format -d 'The form of the conversation on the program\'s stdin [default: json for the project\'s own program, else text]' -r -f -a "text\t'The first message alone; later the turns under the headings `User:` and `Assistant:`. A message can contain such headings too: a program that must tell them apart needs json'
json\t'One JSON object, `plainsight.prompt/1`, which the project\'s own runner reads'"
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l answer-pointer -d 'JSON pointer to the answer in the program\'s stdout. Without it all of stdout is the answer' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l failure-pointer -d 'JSON pointer into the program\'s stdout: `true` there means that there is no answer' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l delta-pointer -d 'The program\'s stdout is lines of JSON: the JSON pointer to a piece of the answer in each, for streamed answers. The other pointers then apply to the last line' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l workspaces -d 'Keep the files of each conversation in this folder: its sandboxes get them as an archive in the prompt, which therefore has to be json, and may give them back' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l workspace-size -d 'KiB of one conversation\'s files, as an archive' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l label -d 'Marks the sandboxes of this gateway, so that its next start removes only its own leftovers' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-seconds -d 'Seconds until it is killed' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-memory -d 'MiB of memory' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-cpus -d 'CPUs at a time' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-processes -d 'Processes and threads at a time' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-scratch -d 'MiB in /tmp, the only writable folder' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l box-output -d 'KiB on stdout and stderr together' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l boxes -d 'Sandboxes at a time [default: as many as this machine has CPUs]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l queue -d 'Most waiting requests' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l queue-per-user -d 'Most waiting requests of one user' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l queue-wait -d 'Most seconds that a request waits' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -s v -l verbose -d 'Log more; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -s q -l quiet -d 'Log warnings only'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l insecure-header-auth -d 'With --auth header: listen on other than loopback addresses too, where any client can be any user'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l insecure-token-auth -d 'With --auth token: accept tokens over plain HTTP on other than loopback addresses, where they can be read and replayed'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -l allow-weak-memory-limit -d 'Start although no cgroup can limit the memory of a sandbox, where it is only watched (namespace only)'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -f -a "healthcheck" -d 'Asks a running gateway for its health: exit 0 if it answers 200, else 1'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -f -a "token" -d 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and not __fish_seen_subcommand_from healthcheck token help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from healthcheck" -l ca -d 'For https: the certificate authority to trust' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from healthcheck" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from token" -l tokens -d 'The file of the tokens\' hashes' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from help" -f -a "healthcheck" -d 'Asks a running gateway for its health: exit 0 if it answers 200, else 1'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from help" -f -a "token" -d 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once'
complete -c plainsight -n "__fish_plainsight_using_subcommand gateway; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l server-url -d 'URL to post to' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l ca -d 'Certificate authority to trust (PEM), for https' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l resolve -d 'Connect to this address instead of resolving the host; separate several by commas' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l http-version -d 'The HTTP version to use; an answer in another version is wrong' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l tls-versions -d 'TLS versions to offer: 1.3, 1.2 or 1.2,1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l message -d 'File with a message to send instead of the script' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l count -d 'Number of messages; without the flag, the script\'s 12, or 1 with --message' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l journal -d 'Journal file for all messages' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l run-id -d 'The run id, 32 hex digits; without the flag, a fresh one' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l deadline -d 'How long to wait until the server accepts a connection' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -l overwrite -d 'Truncate the journal and the key log instead of appending to them'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -s v -l verbose -d 'Log more; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -s q -l quiet -d 'Log only warnings and errors'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-a" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l listen -d 'The address to listen on; port 0 takes any free one' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l tls-cert -d 'The certificate chain, leaf first (PEM)' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l tls-key -d 'The key of the certificate (PEM)' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l tls-versions -d 'TLS versions to accept: 1.3, 1.2 or 1.2,1.3' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l http-version -d 'HTTP version to use; only 1.1 is supported' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l journal -d 'Record every message in this file' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l run-id -d 'The run of the messages, 32 hex digits [default: random]' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l ready-file -d 'Write {"local":"ip:port"} to this file once listening' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l body-limit -d 'Maximum length of a request body in bytes' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l read-timeout -d 'Time for a handshake, the head and the body of a request each' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -l overwrite -d 'Replace an existing journal and key log instead of appending to them'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -s v -l verbose -d 'Log more; twice for everything'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -s q -l quiet -d 'Log warnings only'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -f -a "healthcheck" -d 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and not __fish_seen_subcommand_from healthcheck help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and __fish_seen_subcommand_from healthcheck" -l ca -d 'For https: the certificate authority to trust' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and __fish_seen_subcommand_from healthcheck" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and __fish_seen_subcommand_from help" -f -a "healthcheck" -d 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1'
complete -c plainsight -n "__fish_plainsight_using_subcommand agent-b; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -l netns -d 'Network namespace of the sandboxes' -r -F
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -l docker-network -d 'Docker network of the sandboxes' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -l run-id -d 'The run id, 32 hex digits' -r
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -l allow-weak-memory-limit -d 'Start although no cgroup can limit the memory of a sandbox, where it is only watched'
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand isolation-control" -s V -l version -d 'Print version'
complete -c plainsight -n "__fish_plainsight_using_subcommand completions" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand man" -s h -l help -d 'Print help'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "lab" -d 'Runs the experiments on this machine: two agents, a network between them, and a capturer on the network'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "doctor" -d 'Check which backends work on this machine, and print a remedy for each that does not'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "analyze" -d 'Find out which of the agents\' strings can be read in a capture, and prove it: exposed, sealed or inconclusive'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "check" -d 'Check captures by a policy, a file of rules: the gate of a CI run'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "report" -d 'Turns the analyzer\'s result into the lab report: report.md with its figures, report.html and, on request, report.pdf and report.docx'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "capture" -d 'Records packets to a pcap file, and describes the capture of an experiment in a manifest'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "certs" -d 'Creates a certificate authority, a server certificate and a client certificate for the lab'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "live" -d 'Serves the page that shows a conversation beside its packets, runs experiments, and opens captures'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "gateway" -d 'Answers users in conversations, each request in a disposable sandbox without network'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "agent-a" -d 'Posts tool calls to agent-b and checks every answer'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "agent-b" -d 'Runs a tool for each tool call posted to /tool'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "isolation-control" -d 'Runs a program in sandboxes that have a network: the positive control of the isolation experiment. Only `lab` and `make isolation` have a use for it'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "completions" -d 'Print what completes the commands in a shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "man" -d 'Write the manual pages'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and not __fish_seen_subcommand_from lab doctor analyze check report capture certs live gateway agent-a agent-b isolation-control completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "run" -d 'Run experiments in the order given, and publish their captures, journals and manifests'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "doctor" -d 'Check which backends work on this machine, and print a remedy for each that does not'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "cost" -d 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "demo" -d 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "__enter" -d 'Enter a network namespace and execute a program that the kernel kills when the lab dies'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "__isolation" -d 'Do one step of the isolation experiment, in a container of its own'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "__probe" -d 'Try the netns backend in this process, and print the result as JSON'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from analyze" -f -a "explain" -d 'Explain every byte of a frame'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from analyze" -f -a "diff" -d 'Compare two results: what became readable, what ceased to be'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from analyze" -f -a "check" -d 'Check captures by a policy, a file of rules: the gate of a CI run'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from capture" -f -a "interface" -d 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from capture" -f -a "relay" -d 'Relay TCP connections and record them (any system, no privilege)'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from capture" -f -a "healthcheck" -d 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from gateway" -f -a "healthcheck" -d 'Asks a running gateway for its health: exit 0 if it answers 200, else 1'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from gateway" -f -a "token" -d 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once'
complete -c plainsight -n "__fish_plainsight_using_subcommand help; and __fish_seen_subcommand_from agent-b" -f -a "healthcheck" -d 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1'
