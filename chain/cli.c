int placeholder_cli(void);
