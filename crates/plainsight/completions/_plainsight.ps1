
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'plainsight' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'plainsight'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'plainsight' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('lab', 'lab', [CompletionResultType]::ParameterValue, 'Runs the experiments on this machine: two agents, a network between them, and a capturer on the network')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check which backends work on this machine, and print a remedy for each that does not')
            [CompletionResult]::new('analyze', 'analyze', [CompletionResultType]::ParameterValue, 'Find out which of the agents'' strings can be read in a capture, and prove it: exposed, sealed or inconclusive')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check captures by a policy, a file of rules: the gate of a CI run')
            [CompletionResult]::new('report', 'report', [CompletionResultType]::ParameterValue, 'Turns the analyzer''s result into the lab report: report.md with its figures, report.html and, on request, report.pdf and report.docx')
            [CompletionResult]::new('capture', 'capture', [CompletionResultType]::ParameterValue, 'Records packets to a pcap file, and describes the capture of an experiment in a manifest')
            [CompletionResult]::new('capturer', 'capturer', [CompletionResultType]::ParameterValue, 'Records packets to a pcap file, and describes the capture of an experiment in a manifest')
            [CompletionResult]::new('certs', 'certs', [CompletionResultType]::ParameterValue, 'Creates a certificate authority, a server certificate and a client certificate for the lab')
            [CompletionResult]::new('certgen', 'certgen', [CompletionResultType]::ParameterValue, 'Creates a certificate authority, a server certificate and a client certificate for the lab')
            [CompletionResult]::new('live', 'live', [CompletionResultType]::ParameterValue, 'Serves the page that shows a conversation beside its packets, runs experiments, and opens captures')
            [CompletionResult]::new('gateway', 'gateway', [CompletionResultType]::ParameterValue, 'Answers users in conversations, each request in a disposable sandbox without network')
            [CompletionResult]::new('agent-a', 'agent-a', [CompletionResultType]::ParameterValue, 'Posts tool calls to agent-b and checks every answer')
            [CompletionResult]::new('agent-b', 'agent-b', [CompletionResultType]::ParameterValue, 'Runs a tool for each tool call posted to /tool')
            [CompletionResult]::new('isolation-control', 'isolation-control', [CompletionResultType]::ParameterValue, 'Runs a program in sandboxes that have a network: the positive control of the isolation experiment. Only `lab` and `make isolation` have a use for it')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what completes the commands in a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the manual pages')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;lab' {
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run experiments in the order given, and publish their captures, journals and manifests')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check which backends work on this machine, and print a remedy for each that does not')
            [CompletionResult]::new('cost', 'cost', [CompletionResultType]::ParameterValue, 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C')
            [CompletionResult]::new('__enter', '__enter', [CompletionResultType]::ParameterValue, 'Enter a network namespace and execute a program that the kernel kills when the lab dies')
            [CompletionResult]::new('__isolation', '__isolation', [CompletionResultType]::ParameterValue, 'Do one step of the isolation experiment, in a container of its own')
            [CompletionResult]::new('__probe', '__probe', [CompletionResultType]::ParameterValue, 'Try the netns backend in this process, and print the result as JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;lab;run' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend that carries the traffic')
            [CompletionResult]::new('--certs', '--certs', [CompletionResultType]::ParameterName, 'Folder of the certificates; certgen creates or renews them when an experiment needs them')
            [CompletionResult]::new('--captures', '--captures', [CompletionResultType]::ParameterName, 'Folder for the files of the runs')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Number of messages that agent-a posts; without the flag, its whole script')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, the path of each result; or json, an object for each experiment, one a line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;lab;doctor' {
            [CompletionResult]::new('--certs', '--certs', [CompletionResultType]::ParameterName, 'Folder of the certificates')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, a table; or json, the document plainsight.doctor/1')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;lab;cost' {
            [CompletionResult]::new('--runs', '--runs', [CompletionResultType]::ParameterName, 'Number of runs of each variant')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend that carries the traffic')
            [CompletionResult]::new('--certs', '--certs', [CompletionResultType]::ParameterName, 'Folder of the certificates; certgen creates or renews them when an experiment needs them')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, a table; or json, the document plainsight.cost/1')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;lab;demo' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address of the page. On another address than loopback, a browser needs the token in the printed URL')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend that carries the traffic')
            [CompletionResult]::new('--certs', '--certs', [CompletionResultType]::ParameterName, 'Folder of the certificates; certgen creates or renews them when an experiment needs them')
            [CompletionResult]::new('--captures', '--captures', [CompletionResultType]::ParameterName, 'Folder in which the demo keeps its files while it runs')
            [CompletionResult]::new('--open', '--open', [CompletionResultType]::ParameterName, 'Open the page in a browser')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;lab;__enter' {
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'The network namespace to enter, if any')
            [CompletionResult]::new('--parent', '--parent', [CompletionResultType]::ParameterName, 'Process id of the lab; the program dies with it')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;lab;__isolation' {
            [CompletionResult]::new('--folder', '--folder', [CompletionResultType]::ParameterName, 'Folder of the run''s files')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The gateway''s listening address')
            [CompletionResult]::new('--client', '--client', [CompletionResultType]::ParameterName, 'This container''s address on the users'' network')
            [CompletionResult]::new('--intruder', '--intruder', [CompletionResultType]::ParameterName, 'The address from which the plan has another client replay a user''s id')
            [CompletionResult]::new('--phase', '--phase', [CompletionResultType]::ParameterName, 'The phase that a beacon belongs to, or whose owner or intruder this is')
            [CompletionResult]::new('--moment', '--moment', [CompletionResultType]::ParameterName, 'Whether a beacon starts or ends the captures of its phase')
            [CompletionResult]::new('--outside', '--outside', [CompletionResultType]::ParameterName, 'IPv4 address of agent-b, outside the gateway''s host')
            [CompletionResult]::new('--outside-v6', '--outside-v6', [CompletionResultType]::ParameterName, 'IPv6 address of agent-b')
            [CompletionResult]::new('--network', '--network', [CompletionResultType]::ParameterName, 'The Docker network of the control''s sandboxes')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;lab;__probe' {
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the output of the programs while they run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;lab;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run experiments in the order given, and publish their captures, journals and manifests')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check which backends work on this machine, and print a remedy for each that does not')
            [CompletionResult]::new('cost', 'cost', [CompletionResultType]::ParameterValue, 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C')
            [CompletionResult]::new('__enter', '__enter', [CompletionResultType]::ParameterValue, 'Enter a network namespace and execute a program that the kernel kills when the lab dies')
            [CompletionResult]::new('__isolation', '__isolation', [CompletionResultType]::ParameterValue, 'Do one step of the isolation experiment, in a container of its own')
            [CompletionResult]::new('__probe', '__probe', [CompletionResultType]::ParameterValue, 'Try the netns backend in this process, and print the result as JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;lab;help;run' {
            break
        }
        'plainsight;lab;help;doctor' {
            break
        }
        'plainsight;lab;help;cost' {
            break
        }
        'plainsight;lab;help;demo' {
            break
        }
        'plainsight;lab;help;__enter' {
            break
        }
        'plainsight;lab;help;__isolation' {
            break
        }
        'plainsight;lab;help;__probe' {
            break
        }
        'plainsight;lab;help;help' {
            break
        }
        'plainsight;doctor' {
            [CompletionResult]::new('--certs', '--certs', [CompletionResultType]::ParameterName, 'Folder of the certificates')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, a table; or json, the document plainsight.doctor/1')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;analyze' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'File for the result as JSON; without it, analysis/exposure.json if all paths are in the folder captures')
            [CompletionResult]::new('--annotate', '--annotate', [CompletionResultType]::ParameterName, 'Directory for copies of the captures, as pcapng, with a comment on each packet that proves a finding')
            [CompletionResult]::new('--strings', '--strings', [CompletionResultType]::ParameterName, 'Strings to search for, one a line, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'A journal of what was sent, for a capture without a manifest')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'A key log (SSLKEYLOGFILE format), for a capture without a manifest')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all')
            [CompletionResult]::new('--follow-for', '--follow-for', [CompletionResultType]::ParameterName, 'With --follow, a capture is over that did not grow for this many seconds')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Controls when to use color')
            [CompletionResult]::new('--no-output', '--no-output', [CompletionResultType]::ParameterName, 'Write no file')
            [CompletionResult]::new('--embed-keys', '--embed-keys', [CompletionResultType]::ParameterName, 'Put the key logs into these copies, so that Wireshark decrypts them; comments then quote what the keys open')
            [CompletionResult]::new('--show-secrets', '--show-secrets', [CompletionResultType]::ParameterName, 'Show values whose name marks them as secrets, in captures without journals')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Follow one capture that another program is writing, or standard input: print a line for each message as it completes, and the result when the capture is over')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain every byte of a frame')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Compare two results: what became readable, what ceased to be')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check captures by a policy, a file of rules: the gate of a CI run')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;analyze;explain' {
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'A key log (SSLKEYLOGFILE format); by default the one that belongs to the capture')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy')
            [CompletionResult]::new('--language', '--language', [CompletionResultType]::ParameterName, 'Language of the explanations')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, or the document plainsight.explain/1')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Controls when to use color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;analyze;diff' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print: text, or the document plainsight.diff/1')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Controls when to use color')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;analyze;check' {
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'The policy: docs/policy.md describes its rules')
            [CompletionResult]::new('--baseline', '--baseline', [CompletionResultType]::ParameterName, 'An older result, whose violations are known and do not fail the check: a document of `--format json`, a capture, or a directory of captures')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Write the outcome into a file, too, in one of these formats')
            [CompletionResult]::new('--strings', '--strings', [CompletionResultType]::ParameterName, 'Strings to search for, one a line, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'A journal of what was sent, for a capture without a manifest')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'A key log (SSLKEYLOGFILE format), for a capture without a manifest')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Controls when to use color')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;analyze;help' {
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain every byte of a frame')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Compare two results: what became readable, what ceased to be')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check captures by a policy, a file of rules: the gate of a CI run')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;analyze;help;explain' {
            break
        }
        'plainsight;analyze;help;diff' {
            break
        }
        'plainsight;analyze;help;check' {
            break
        }
        'plainsight;analyze;help;help' {
            break
        }
        'plainsight;check' {
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'The policy: docs/policy.md describes its rules')
            [CompletionResult]::new('--baseline', '--baseline', [CompletionResultType]::ParameterName, 'An older result, whose violations are known and do not fail the check: a document of `--format json`, a capture, or a directory of captures')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'What to print')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Write the outcome into a file, too, in one of these formats')
            [CompletionResult]::new('--strings', '--strings', [CompletionResultType]::ParameterName, 'Strings to search for, one a line, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON documents whose strings to search for, in a capture without a manifest; - for standard input')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'A journal of what was sent, for a capture without a manifest')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'A key log (SSLKEYLOGFILE format), for a capture without a manifest')
            [CompletionResult]::new('--server-key', '--server-key', [CompletionResultType]::ParameterName, 'RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture without a manifest')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'The connections that the verdict is about: ADDRESS:PORT, *:PORT or all')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Controls when to use color')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print no progress on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;report' {
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Folder to write the report to [default: that of the result]')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'Language of the report [default: that of the locale]')
            [CompletionResult]::new('--author', '--author', [CompletionResultType]::ParameterName, 'Author on the title page')
            [CompletionResult]::new('--course', '--course', [CompletionResultType]::ParameterName, 'Course on the title page')
            [CompletionResult]::new('--date', '--date', [CompletionResultType]::ParameterName, 'Date on the title page [default: the day of the first frame, UTC]')
            [CompletionResult]::new('--title', '--title', [CompletionResultType]::ParameterName, 'Title of the report')
            [CompletionResult]::new('--template', '--template', [CompletionResultType]::ParameterName, 'Sections in an order of one''s own, with titles and paragraphs of one''s own: a TOML file (docs/programs/report.md)')
            [CompletionResult]::new('--appendix', '--appendix', [CompletionResultType]::ParameterName, 'Add the appendices: every frame that the report refers to, more strings, more code and figures')
            [CompletionResult]::new('--pdf', '--pdf', [CompletionResultType]::ParameterName, 'Write report.pdf as well; needs Chromium or Chrome (variable CHROME)')
            [CompletionResult]::new('--docx', '--docx', [CompletionResultType]::ParameterName, 'Write report.docx as well, for Word; needs Chromium or Chrome for its pictures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;capture' {
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('interface', 'interface', [CompletionResultType]::ParameterValue, 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Relay TCP connections and record them (any system, no privilege)')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;capturer' {
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('interface', 'interface', [CompletionResultType]::ParameterValue, 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Relay TCP connections and record them (any system, no privilege)')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;capture;interface' {
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Name of the interface, as in `ip link`')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Environment of the traffic, for the manifest: netns, relay or docker')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'User and group to switch to once the packet socket is open; they own the files')
            [CompletionResult]::new('--variant', '--variant', [CompletionResultType]::ParameterName, 'The experiment that is run: a variant''s name, or isolation [default: none, and no manifest]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Folder for the capture and its manifest; created if missing')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Stem of the file names [default: the experiment''s name, or capture]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The server''s port [default: the experiment''s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame')
            [CompletionResult]::new('--snaplen', '--snaplen', [CompletionResultType]::ParameterName, 'Maximum number of bytes kept of each frame')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits, the same as in the journals [default: fresh]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'File to write once the capturer is recording')
            [CompletionResult]::new('--key-log', '--key-log', [CompletionResultType]::ParameterName, 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3')
            [CompletionResult]::new('--quiet-ms', '--quiet-ms', [CompletionResultType]::ParameterName, 'After a signal, drain until no frame has arrived for this long')
            [CompletionResult]::new('--no-filter', '--no-filter', [CompletionResultType]::ParameterName, 'Capture every frame, on any port')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capturer;interface' {
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Name of the interface, as in `ip link`')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Environment of the traffic, for the manifest: netns, relay or docker')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'User and group to switch to once the packet socket is open; they own the files')
            [CompletionResult]::new('--variant', '--variant', [CompletionResultType]::ParameterName, 'The experiment that is run: a variant''s name, or isolation [default: none, and no manifest]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Folder for the capture and its manifest; created if missing')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Stem of the file names [default: the experiment''s name, or capture]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The server''s port [default: the experiment''s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame')
            [CompletionResult]::new('--snaplen', '--snaplen', [CompletionResultType]::ParameterName, 'Maximum number of bytes kept of each frame')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits, the same as in the journals [default: fresh]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'File to write once the capturer is recording')
            [CompletionResult]::new('--key-log', '--key-log', [CompletionResultType]::ParameterName, 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3')
            [CompletionResult]::new('--quiet-ms', '--quiet-ms', [CompletionResultType]::ParameterName, 'After a signal, drain until no frame has arrived for this long')
            [CompletionResult]::new('--no-filter', '--no-filter', [CompletionResultType]::ParameterName, 'Capture every frame, on any port')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capture;relay' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address to listen on for agent-a; port 0 selects a free port, which the ready file contains')
            [CompletionResult]::new('--connect', '--connect', [CompletionResultType]::ParameterName, 'Address of agent-b')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Environment of the traffic, for the manifest: netns, relay or docker')
            [CompletionResult]::new('--variant', '--variant', [CompletionResultType]::ParameterName, 'The experiment that is run: a variant''s name, or isolation [default: none, and no manifest]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Folder for the capture and its manifest; created if missing')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Stem of the file names [default: the experiment''s name, or capture]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The server''s port [default: the experiment''s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame')
            [CompletionResult]::new('--snaplen', '--snaplen', [CompletionResultType]::ParameterName, 'Maximum number of bytes kept of each frame')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits, the same as in the journals [default: fresh]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'File to write once the capturer is recording')
            [CompletionResult]::new('--key-log', '--key-log', [CompletionResultType]::ParameterName, 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3')
            [CompletionResult]::new('--quiet-ms', '--quiet-ms', [CompletionResultType]::ParameterName, 'After a signal, drain until no frame has arrived for this long')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capturer;relay' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address to listen on for agent-a; port 0 selects a free port, which the ready file contains')
            [CompletionResult]::new('--connect', '--connect', [CompletionResultType]::ParameterName, 'Address of agent-b')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Environment of the traffic, for the manifest: netns, relay or docker')
            [CompletionResult]::new('--variant', '--variant', [CompletionResultType]::ParameterName, 'The experiment that is run: a variant''s name, or isolation [default: none, and no manifest]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Folder for the capture and its manifest; created if missing')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Stem of the file names [default: the experiment''s name, or capture]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The server''s port [default: the experiment''s, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps every frame')
            [CompletionResult]::new('--snaplen', '--snaplen', [CompletionResultType]::ParameterName, 'Maximum number of bytes kept of each frame')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits, the same as in the journals [default: fresh]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'File to write once the capturer is recording')
            [CompletionResult]::new('--key-log', '--key-log', [CompletionResultType]::ParameterName, 'File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3')
            [CompletionResult]::new('--quiet-ms', '--quiet-ms', [CompletionResultType]::ParameterName, 'After a signal, drain until no frame has arrived for this long')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capture;healthcheck' {
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'The capturer''s --ready-file')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capturer;healthcheck' {
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'The capturer''s --ready-file')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;capture;help' {
            [CompletionResult]::new('interface', 'interface', [CompletionResultType]::ParameterValue, 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Relay TCP connections and record them (any system, no privilege)')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;capture;help;interface' {
            break
        }
        'plainsight;capture;help;relay' {
            break
        }
        'plainsight;capture;help;healthcheck' {
            break
        }
        'plainsight;capture;help;help' {
            break
        }
        'plainsight;capturer;help' {
            [CompletionResult]::new('interface', 'interface', [CompletionResultType]::ParameterValue, 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Relay TCP connections and record them (any system, no privilege)')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;capturer;help;interface' {
            break
        }
        'plainsight;capturer;help;relay' {
            break
        }
        'plainsight;capturer;help;healthcheck' {
            break
        }
        'plainsight;capturer;help;help' {
            break
        }
        'plainsight;certs' {
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key')
            [CompletionResult]::new('--san', '--san', [CompletionResultType]::ParameterName, 'Additional DNS name or IP address of the server; may be repeated')
            [CompletionResult]::new('--client', '--client', [CompletionResultType]::ParameterName, 'Also create a client certificate with this subject, client-NAME.pem: a user of `gateway --auth mtls`; may be repeated')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Renew all certificates, including the authority')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;certgen' {
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Folder for ca.pem, ca.key, server.pem, server.key, client.pem and client.key')
            [CompletionResult]::new('--san', '--san', [CompletionResultType]::ParameterName, 'Additional DNS name or IP address of the server; may be repeated')
            [CompletionResult]::new('--client', '--client', [CompletionResultType]::ParameterName, 'Also create a client certificate with this subject, client-NAME.pem: a user of `gateway --auth mtls`; may be repeated')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Renew all certificates, including the authority')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;live' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address of the page. On another address than loopback, a browser needs the token in the printed URL')
            [CompletionResult]::new('--demo', '--demo', [CompletionResultType]::ParameterName, 'What `lab demo` started (plainsight.demo/1), or docker/demo.json. Waits for each file that it names, up to 10 s')
            [CompletionResult]::new('--captures', '--captures', [CompletionResultType]::ParameterName, 'Show the captures in this folder, such as those of `make lab` or of CI; may be repeated')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'Write {"local":"ip:port"} to this file once the page is served')
            [CompletionResult]::new('--listener-is-stdin', '--listener-is-stdin', [CompletionResultType]::ParameterName, 'Serve on the listening socket that is stdin, which `lab demo` opened')
            [CompletionResult]::new('--open', '--open', [CompletionResultType]::ParameterName, 'Open the page in a browser')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more to stderr; twice for everything')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;gateway' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The address to listen on; port 0 means any free one')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'The certificate chain, leaf first (PEM)')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The key of the certificate (PEM)')
            [CompletionResult]::new('--plain-listen', '--plain-listen', [CompletionResultType]::ParameterName, 'With a certificate: also serve plain HTTP on this address, with the same store and queue. For comparisons')
            [CompletionResult]::new('--tls-versions', '--tls-versions', [CompletionResultType]::ParameterName, 'TLS versions to speak: 1.3, 1.2 or 1.2,1.3')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store of the conversations: a file, or firestore:PROJECT in a gateway built with that feature')
            [CompletionResult]::new('--read-timeout', '--read-timeout', [CompletionResultType]::ParameterName, 'Time for a handshake, the head and the body of a request each')
            [CompletionResult]::new('--connections-per-address', '--connections-per-address', [CompletionResultType]::ParameterName, 'Most connections from one address at a time. The default leaves a quarter to others; a proxy in front of the gateway may need all 640')
            [CompletionResult]::new('--keep-days', '--keep-days', [CompletionResultType]::ParameterName, 'Delete conversations without a message for so many days; without it they stay')
            [CompletionResult]::new('--audit-log', '--audit-log', [CompletionResultType]::ParameterName, 'Append a line of JSON for each sandbox to this file: user, conversation, limits, outcome and sizes, and no text. The same is in the log')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Record every sandbox in this file, a line of JSON each (plainsight.box/1): its output, exit and limits. For experiments: it holds users'' messages and grows without limit. Replaces an existing file')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, '32 hex digits in every line of the journal [default: random]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'Write {"local":"ip:port"} to this file once listening')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'The form of the log')
            [CompletionResult]::new('--auth', '--auth', [CompletionResultType]::ParameterName, 'What names the user of a request')
            [CompletionResult]::new('--tokens', '--tokens', [CompletionResultType]::ParameterName, 'With --auth token: the file of the tokens'' hashes; see gateway token')
            [CompletionResult]::new('--client-ca', '--client-ca', [CompletionResultType]::ParameterName, 'With --auth mtls: the authority that signs the clients'' certificates (PEM); certgen --client makes such certificates')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'A further name or address of this server, without port. Its own names are the address that a client connects to, localhost, the host name, and the names in its certificate; may be repeated')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'A site whose pages may use this server, such as `https://chat.example`; may be repeated')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Requests of one user in a second, in the long run; 0 for any number')
            [CompletionResult]::new('--rate-burst', '--rate-burst', [CompletionResultType]::ParameterName, 'Requests of one user that may come at once')
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'MiB that one user''s conversations may take in the store; 0 for any number')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'What makes the sandboxes; auto uses the first that works on this machine, and logs which')
            [CompletionResult]::new('--runner', '--runner', [CompletionResultType]::ParameterName, 'The program''s absolute path on this machine or in the image [default: `runner` beside this program]')
            [CompletionResult]::new('--runner-arg', '--runner-arg', [CompletionResultType]::ParameterName, 'An argument of the program; may be repeated')
            [CompletionResult]::new('--runner-env', '--runner-env', [CompletionResultType]::ParameterName, 'A variable of the program''s otherwise empty environment: NAME=VALUE, or NAME to pass on the gateway''s own; may be repeated')
            [CompletionResult]::new('--image', '--image', [CompletionResultType]::ParameterName, 'The container image that holds the program (docker only; never pulled)')
            [CompletionResult]::new('--read-only', '--read-only', [CompletionResultType]::ParameterName, 'A file or folder of this machine that the sandbox gets read-only at the same path (namespace only); may be repeated. The gateway adds the program''s libraries itself')
            [CompletionResult]::new('--prompt-format', '--prompt-format', [CompletionResultType]::ParameterName, 'The form of the conversation on the program''s stdin [default: json for the project''s own program, else text]')
            [CompletionResult]::new('--answer-pointer', '--answer-pointer', [CompletionResultType]::ParameterName, 'JSON pointer to the answer in the program''s stdout. Without it all of stdout is the answer')
            [CompletionResult]::new('--failure-pointer', '--failure-pointer', [CompletionResultType]::ParameterName, 'JSON pointer into the program''s stdout: `true` there means that there is no answer')
            [CompletionResult]::new('--delta-pointer', '--delta-pointer', [CompletionResultType]::ParameterName, 'The program''s stdout is lines of JSON: the JSON pointer to a piece of the answer in each, for streamed answers. The other pointers then apply to the last line')
            [CompletionResult]::new('--workspaces', '--workspaces', [CompletionResultType]::ParameterName, 'Keep the files of each conversation in this folder: its sandboxes get them as an archive in the prompt, which therefore has to be json, and may give them back')
            [CompletionResult]::new('--workspace-size', '--workspace-size', [CompletionResultType]::ParameterName, 'KiB of one conversation''s files, as an archive')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Marks the sandboxes of this gateway, so that its next start removes only its own leftovers')
            [CompletionResult]::new('--box-seconds', '--box-seconds', [CompletionResultType]::ParameterName, 'Seconds until it is killed')
            [CompletionResult]::new('--box-memory', '--box-memory', [CompletionResultType]::ParameterName, 'MiB of memory')
            [CompletionResult]::new('--box-cpus', '--box-cpus', [CompletionResultType]::ParameterName, 'CPUs at a time')
            [CompletionResult]::new('--box-processes', '--box-processes', [CompletionResultType]::ParameterName, 'Processes and threads at a time')
            [CompletionResult]::new('--box-scratch', '--box-scratch', [CompletionResultType]::ParameterName, 'MiB in /tmp, the only writable folder')
            [CompletionResult]::new('--box-output', '--box-output', [CompletionResultType]::ParameterName, 'KiB on stdout and stderr together')
            [CompletionResult]::new('--boxes', '--boxes', [CompletionResultType]::ParameterName, 'Sandboxes at a time [default: as many as this machine has CPUs]')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Most waiting requests')
            [CompletionResult]::new('--queue-per-user', '--queue-per-user', [CompletionResultType]::ParameterName, 'Most waiting requests of one user')
            [CompletionResult]::new('--queue-wait', '--queue-wait', [CompletionResultType]::ParameterName, 'Most seconds that a request waits')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Log warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log warnings only')
            [CompletionResult]::new('--insecure-header-auth', '--insecure-header-auth', [CompletionResultType]::ParameterName, 'With --auth header: listen on other than loopback addresses too, where any client can be any user')
            [CompletionResult]::new('--insecure-token-auth', '--insecure-token-auth', [CompletionResultType]::ParameterName, 'With --auth token: accept tokens over plain HTTP on other than loopback addresses, where they can be read and replayed')
            [CompletionResult]::new('--allow-weak-memory-limit', '--allow-weak-memory-limit', [CompletionResultType]::ParameterName, 'Start although no cgroup can limit the memory of a sandbox, where it is only watched (namespace only)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running gateway for its health: exit 0 if it answers 200, else 1')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;gateway;healthcheck' {
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'For https: the certificate authority to trust')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;gateway;token' {
            [CompletionResult]::new('--tokens', '--tokens', [CompletionResultType]::ParameterName, 'The file of the tokens'' hashes')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'plainsight;gateway;help' {
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running gateway for its health: exit 0 if it answers 200, else 1')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;gateway;help;healthcheck' {
            break
        }
        'plainsight;gateway;help;token' {
            break
        }
        'plainsight;gateway;help;help' {
            break
        }
        'plainsight;agent-a' {
            [CompletionResult]::new('--server-url', '--server-url', [CompletionResultType]::ParameterName, 'URL to post to')
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'Certificate authority to trust (PEM), for https')
            [CompletionResult]::new('--resolve', '--resolve', [CompletionResultType]::ParameterName, 'Connect to this address instead of resolving the host; separate several by commas')
            [CompletionResult]::new('--http-version', '--http-version', [CompletionResultType]::ParameterName, 'The HTTP version to use; an answer in another version is wrong')
            [CompletionResult]::new('--tls-versions', '--tls-versions', [CompletionResultType]::ParameterName, 'TLS versions to offer: 1.3, 1.2 or 1.2,1.3')
            [CompletionResult]::new('--message', '--message', [CompletionResultType]::ParameterName, 'File with a message to send instead of the script')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Number of messages; without the flag, the script''s 12, or 1 with --message')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Journal file for all messages')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits; without the flag, a fresh one')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'How long to wait until the server accepts a connection')
            [CompletionResult]::new('--overwrite', '--overwrite', [CompletionResultType]::ParameterName, 'Truncate the journal and the key log instead of appending to them')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Log only warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log only warnings and errors')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;agent-b' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The address to listen on; port 0 takes any free one')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'The certificate chain, leaf first (PEM)')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The key of the certificate (PEM)')
            [CompletionResult]::new('--tls-versions', '--tls-versions', [CompletionResultType]::ParameterName, 'TLS versions to accept: 1.3, 1.2 or 1.2,1.3')
            [CompletionResult]::new('--http-version', '--http-version', [CompletionResultType]::ParameterName, 'HTTP version to use; only 1.1 is supported')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'Record every message in this file')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run of the messages, 32 hex digits [default: random]')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'Write {"local":"ip:port"} to this file once listening')
            [CompletionResult]::new('--body-limit', '--body-limit', [CompletionResultType]::ParameterName, 'Maximum length of a request body in bytes')
            [CompletionResult]::new('--read-timeout', '--read-timeout', [CompletionResultType]::ParameterName, 'Time for a handshake, the head and the body of a request each')
            [CompletionResult]::new('--overwrite', '--overwrite', [CompletionResultType]::ParameterName, 'Replace an existing journal and key log instead of appending to them')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log more; twice for everything')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Log warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log warnings only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;agent-b;healthcheck' {
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'For https: the certificate authority to trust')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;agent-b;help' {
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;agent-b;help;healthcheck' {
            break
        }
        'plainsight;agent-b;help;help' {
            break
        }
        'plainsight;isolation-control' {
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Network namespace of the sandboxes')
            [CompletionResult]::new('--docker-network', '--docker-network', [CompletionResultType]::ParameterName, 'Docker network of the sandboxes')
            [CompletionResult]::new('--run-id', '--run-id', [CompletionResultType]::ParameterName, 'The run id, 32 hex digits')
            [CompletionResult]::new('--allow-weak-memory-limit', '--allow-weak-memory-limit', [CompletionResultType]::ParameterName, 'Start although no cgroup can limit the memory of a sandbox, where it is only watched')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'plainsight;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'plainsight;help' {
            [CompletionResult]::new('lab', 'lab', [CompletionResultType]::ParameterValue, 'Runs the experiments on this machine: two agents, a network between them, and a capturer on the network')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check which backends work on this machine, and print a remedy for each that does not')
            [CompletionResult]::new('analyze', 'analyze', [CompletionResultType]::ParameterValue, 'Find out which of the agents'' strings can be read in a capture, and prove it: exposed, sealed or inconclusive')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check captures by a policy, a file of rules: the gate of a CI run')
            [CompletionResult]::new('report', 'report', [CompletionResultType]::ParameterValue, 'Turns the analyzer''s result into the lab report: report.md with its figures, report.html and, on request, report.pdf and report.docx')
            [CompletionResult]::new('capture', 'capture', [CompletionResultType]::ParameterValue, 'Records packets to a pcap file, and describes the capture of an experiment in a manifest')
            [CompletionResult]::new('certs', 'certs', [CompletionResultType]::ParameterValue, 'Creates a certificate authority, a server certificate and a client certificate for the lab')
            [CompletionResult]::new('live', 'live', [CompletionResultType]::ParameterValue, 'Serves the page that shows a conversation beside its packets, runs experiments, and opens captures')
            [CompletionResult]::new('gateway', 'gateway', [CompletionResultType]::ParameterValue, 'Answers users in conversations, each request in a disposable sandbox without network')
            [CompletionResult]::new('agent-a', 'agent-a', [CompletionResultType]::ParameterValue, 'Posts tool calls to agent-b and checks every answer')
            [CompletionResult]::new('agent-b', 'agent-b', [CompletionResultType]::ParameterValue, 'Runs a tool for each tool call posted to /tool')
            [CompletionResult]::new('isolation-control', 'isolation-control', [CompletionResultType]::ParameterValue, 'Runs a program in sandboxes that have a network: the positive control of the isolation experiment. Only `lab` and `make isolation` have a use for it')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what completes the commands in a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the manual pages')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'plainsight;help;lab' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run experiments in the order given, and publish their captures, journals and manifests')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check which backends work on this machine, and print a remedy for each that does not')
            [CompletionResult]::new('cost', 'cost', [CompletionResultType]::ParameterValue, 'Run the variants many times, and print the latency of cold and warm requests as measured in the captures')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C')
            [CompletionResult]::new('__enter', '__enter', [CompletionResultType]::ParameterValue, 'Enter a network namespace and execute a program that the kernel kills when the lab dies')
            [CompletionResult]::new('__isolation', '__isolation', [CompletionResultType]::ParameterValue, 'Do one step of the isolation experiment, in a container of its own')
            [CompletionResult]::new('__probe', '__probe', [CompletionResultType]::ParameterValue, 'Try the netns backend in this process, and print the result as JSON')
            break
        }
        'plainsight;help;lab;run' {
            break
        }
        'plainsight;help;lab;doctor' {
            break
        }
        'plainsight;help;lab;cost' {
            break
        }
        'plainsight;help;lab;demo' {
            break
        }
        'plainsight;help;lab;__enter' {
            break
        }
        'plainsight;help;lab;__isolation' {
            break
        }
        'plainsight;help;lab;__probe' {
            break
        }
        'plainsight;help;doctor' {
            break
        }
        'plainsight;help;analyze' {
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain every byte of a frame')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Compare two results: what became readable, what ceased to be')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check captures by a policy, a file of rules: the gate of a CI run')
            break
        }
        'plainsight;help;analyze;explain' {
            break
        }
        'plainsight;help;analyze;diff' {
            break
        }
        'plainsight;help;analyze;check' {
            break
        }
        'plainsight;help;check' {
            break
        }
        'plainsight;help;report' {
            break
        }
        'plainsight;help;capture' {
            [CompletionResult]::new('interface', 'interface', [CompletionResultType]::ParameterValue, 'Capture on a network interface (Linux; needs root or CAP_NET_RAW)')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Relay TCP connections and record them (any system, no privilege)')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no shell')
            break
        }
        'plainsight;help;capture;interface' {
            break
        }
        'plainsight;help;capture;relay' {
            break
        }
        'plainsight;help;capture;healthcheck' {
            break
        }
        'plainsight;help;certs' {
            break
        }
        'plainsight;help;live' {
            break
        }
        'plainsight;help;gateway' {
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running gateway for its health: exit 0 if it answers 200, else 1')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once')
            break
        }
        'plainsight;help;gateway;healthcheck' {
            break
        }
        'plainsight;help;gateway;token' {
            break
        }
        'plainsight;help;agent-a' {
            break
        }
        'plainsight;help;agent-b' {
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Asks a running agent-b for its health: exit 0 if it answers 200, else 1')
            break
        }
        'plainsight;help;agent-b;healthcheck' {
            break
        }
        'plainsight;help;isolation-control' {
            break
        }
        'plainsight;help;completions' {
            break
        }
        'plainsight;help;man' {
            break
        }
        'plainsight;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
