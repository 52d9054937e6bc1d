PS1=$
