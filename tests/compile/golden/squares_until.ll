


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %acc.a1 = alloca float
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !4
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !5
  br label %start
start:
  store float 0x0000000000000000, ptr %acc.a1
  br label %before1
before1:
  %v5 = icmp slt i64 0, 3
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ 0, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !0
  %v8 = load float, ptr %acc.a1
  %v9 = fadd reassoc contract float %v8, %v7
  store float %v9, ptr %acc.a1
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v10 = icmp slt i64 %body2.next, 3
  br i1 %v10, label %body2, label %leave4, !llvm.loop !3
leave4:
  %v11 = load float, ptr %acc.a1
  %v12 = fcmp olt float %v11, 0x4059000000000000
  %v13 = zext i1 %v12 to i8
  store i8 %v13, ptr %b1
  ret void
}

define internal i32 @part0.4(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  call void @kernel0(ptr %t0, i64 0, i64 1)
  ret i32 0
}

define internal void @kernel1(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !9
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !10
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !6
  %v8 = fadd contract  float %v7, %v7
  %v9 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  store float %v8, ptr %v9, !llvm.access.group !6
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v10 = icmp slt i64 %body2.next, %end
  br i1 %v10, label %body2, label %leave4, !llvm.loop !8
leave4:
  ret void
}

define internal i32 @part1.2(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  call void @kernel1(ptr %t0, i64 0, i64 3)
  ret i32 0
}

define internal void @kernel2(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !14
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !15
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !11
  %v8 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  store float %v7, ptr %v8, !llvm.access.group !11
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v9 = icmp slt i64 %body2.next, %end
  br i1 %v9, label %body2, label %leave4, !llvm.loop !13
leave4:
  ret void
}

define internal i32 @part2.3(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  call void @kernel2(ptr %t0, i64 0, i64 3)
  ret i32 0
}

define internal void @kernel3(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !19
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !20
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !16
  %v8 = fneg float %v7
  %v9 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  store float %v8, ptr %v9, !llvm.access.group !16
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v10 = icmp slt i64 %body2.next, %end
  br i1 %v10, label %body2, label %leave4, !llvm.loop !18
leave4:
  ret void
}

define internal i32 @part3.3(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [2 x ptr]
  ; cluster 0
  %v1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v2 = load ptr, ptr %v1
  store ptr %v2, ptr %t0
  %v3 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v4 = load ptr, ptr %v3
  %v5 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v4, ptr %v5
  call void @kernel3(ptr %t0, i64 0, i64 3)
  ret i32 0
}

define internal i32 @region4.part4.8.1(ptr noalias %buffers, ptr %context) noinline #0 {
entry:
  %table0 = alloca [3 x ptr]
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0
  %table1 = alloca [2 x ptr]
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2
  %a3 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %b3 = load ptr, ptr %a3
  br label %start
start:
  %v1 = getelementptr inbounds ptr, ptr %table0, i64 2
  store ptr %b0, ptr %v1
  call void @llvm.memmove.p0.p0.i64(ptr %b1, ptr %b2, i64 12, i1 false)
  %v2 = getelementptr inbounds ptr, ptr %table1, i64 0
  store ptr %b1, ptr %v2
  %v3 = getelementptr inbounds ptr, ptr %table1, i64 1
  store ptr %b1, ptr %v3
  %v4 = getelementptr inbounds ptr, ptr %table0, i64 0
  store ptr %b1, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %table0, i64 1
  store ptr %b3, ptr %v5
  br label %again6
again6:
  %v9 = call i32 @part0.4(ptr %table0, ptr %context)
  %v12 = icmp ne i32 %v9, 0
  br i1 %v12, label %failed10, label %go11
failed10:
  ret i32 %v9
go11:
  %v13 = load i8, ptr %b3
  %v14 = icmp ne i8 %v13, 0
  br i1 %v14, label %body7, label %done8
body7:
  %v15 = call i32 @part1.2(ptr %table1, ptr %context)
  %v18 = icmp ne i32 %v15, 0
  br i1 %v18, label %failed16, label %go17
failed16:
  ret i32 %v15
go17:
  %v19 = call i32 @cr.poll(ptr %context)
  %v22 = icmp ne i32 %v19, 0
  br i1 %v22, label %failed20, label %go21
failed20:
  ret i32 %v19
go21:
  br label %again6
done8:
  ret i32 0
}

define internal void @kernel4(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !21
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !22
  br label %start
start:
  %v1 = load float, ptr %b0
  %v2 = fcmp ogt float %v1, 0x3FF0000000000000
  %v3 = zext i1 %v2 to i8
  store i8 %v3, ptr %b1
  ret void
}

define internal i32 @region4.part4.8.6(ptr noalias %buffers, ptr %context) noinline #0 {
entry:
  %table0 = alloca [3 x ptr]
  %table1 = alloca [3 x ptr]
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2
  br label %start
start:
  %v4 = load i8, ptr %b0
  %v5 = icmp ne i8 %v4, 0
  br i1 %v5, label %yes1, label %no2
yes1:
  %v6 = getelementptr inbounds ptr, ptr %table0, i64 0
  store ptr %b1, ptr %v6
  %v7 = getelementptr inbounds ptr, ptr %table0, i64 1
  store ptr %b1, ptr %v7
  %v8 = getelementptr inbounds ptr, ptr %table0, i64 2
  store ptr %b2, ptr %v8
  %v9 = call i32 @part2.3(ptr %table0, ptr %context)
  %v12 = icmp ne i32 %v9, 0
  br i1 %v12, label %failed10, label %go11
failed10:
  ret i32 %v9
go11:
  br label %done3
no2:
  %v13 = getelementptr inbounds ptr, ptr %table1, i64 0
  store ptr %b1, ptr %v13
  %v14 = getelementptr inbounds ptr, ptr %table1, i64 1
  store ptr %b1, ptr %v14
  %v15 = getelementptr inbounds ptr, ptr %table1, i64 2
  store ptr %b2, ptr %v15
  %v16 = call i32 @part3.3(ptr %table1, ptr %context)
  %v19 = icmp ne i32 %v16, 0
  br i1 %v19, label %failed17, label %go18
failed17:
  ret i32 %v16
go18:
  br label %done3
done3:
  ret i32 0
}

define internal i32 @part4.8(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [4 x ptr]
  %t1 = alloca [2 x ptr]
  %t2 = alloca [3 x ptr]
  ; cluster 0
  %v1 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %v2 = load ptr, ptr %v1
  store ptr %v2, ptr %t0
  %v3 = getelementptr inbounds ptr, ptr %buffers, i64 4
  %v4 = load ptr, ptr %v3
  %v5 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v4, ptr %v5
  %v6 = load ptr, ptr %buffers
  %v7 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v6, ptr %v7
  %v8 = getelementptr inbounds ptr, ptr %buffers, i64 5
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr inbounds ptr, ptr %t0, i64 3
  store ptr %v9, ptr %v10
  %v11 = call i32 @region4.part4.8.1(ptr %t0, ptr %context)
  %v14 = icmp ne i32 %v11, 0
  br i1 %v14, label %failed12, label %go13
failed12:
  ret i32 %v11
go13:
  ; cluster 1
  %v15 = getelementptr inbounds ptr, ptr %buffers, i64 4
  %v16 = load ptr, ptr %v15
  store ptr %v16, ptr %t1
  %v17 = getelementptr inbounds ptr, ptr %buffers, i64 6
  %v18 = load ptr, ptr %v17
  %v19 = getelementptr inbounds ptr, ptr %t1, i64 1
  store ptr %v18, ptr %v19
  call void @kernel4(ptr %t1, i64 0, i64 1)
  ; cluster 2
  %v20 = getelementptr inbounds ptr, ptr %buffers, i64 6
  %v21 = load ptr, ptr %v20
  store ptr %v21, ptr %t2
  %v22 = getelementptr inbounds ptr, ptr %buffers, i64 4
  %v23 = load ptr, ptr %v22
  %v24 = getelementptr inbounds ptr, ptr %t2, i64 1
  store ptr %v23, ptr %v24
  %v25 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v26 = load ptr, ptr %v25
  %v27 = getelementptr inbounds ptr, ptr %t2, i64 2
  store ptr %v26, ptr %v27
  %v28 = call i32 @region4.part4.8.6(ptr %t2, ptr %context)
  %v31 = icmp ne i32 %v28, 0
  br i1 %v31, label %failed29, label %go30
failed29:
  ret i32 %v28
go30:
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part4.8(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = !{!"llvm.loop.unroll.disable"}
!3 = distinct !{!3, !1, !2}
!4 = !{}
!5 = !{}
!6 = distinct !{}
!7 = !{!"llvm.loop.parallel_accesses", !6}
!8 = distinct !{!8, !7}
!9 = !{}
!10 = !{}
!11 = distinct !{}
!12 = !{!"llvm.loop.parallel_accesses", !11}
!13 = distinct !{!13, !12}
!14 = !{}
!15 = !{}
!16 = distinct !{}
!17 = !{!"llvm.loop.parallel_accesses", !16}
!18 = distinct !{!18, !17}
!19 = !{}
!20 = !{}
!21 = !{}
!22 = !{}

