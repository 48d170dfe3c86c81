! An error that nobody asks for must end the program, with the message. run.sh looks at both.
program stops
  use reknit
  implicit none
  type(rkn_krylov_t) :: s
  call s%create("gmres")
  call s%set("restrt", 40)
  print "(a)", "still running"
end program stops
