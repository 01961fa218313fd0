int placeholder_cli_check(void);
