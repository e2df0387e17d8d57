# The child of the process vectors: reads commands from descriptor 5, one in each line, and reports on 6 when each is done.
# The daemon that it leaves in the background reads its commands from 7.
obey() {
    while read -r command argument <&"$1"; do
        case $command in
            out) printf %s "$argument" ;;
            err) printf %s "$argument" >&2 ;;
            echo) read -r line; printf %s "$line" ;;
            close0) exec 0<&- ;;
            close1) exec 1>&- ;;
            close2) exec 2>&- ;;
            exit) exit "$argument" ;;
            kill) kill -"$argument" $$ ;;
            # By way of 8, since a shell gives what is in the background another standard input.
            daemon) exec 8<&0; obey 7 <&8 8<&- 5<&- & exec 7<&- 8<&- ;;
            wait) wait ;;
        esac
        echo >&6
    done
}
obey 5
