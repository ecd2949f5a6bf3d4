"""What the algorithms of aegis do under load, in virtual time: tables and plots for the docs."""
